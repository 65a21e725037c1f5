//! Whole validations against a signed world.

mod aggressive;
mod aliases;
mod chain;
mod denial;
mod keys;
mod nsec3;
mod order;
mod signatures;
