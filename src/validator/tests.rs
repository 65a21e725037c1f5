//! Whole validations against a signed world.

mod chain;
mod keys;
mod signatures;
