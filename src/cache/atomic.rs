//! The atomics that shared memory is made of.
//!
//! A module of its own, so that `tests/region_model.rs` can compile the same source with the
//! atomics of a model checker in their place.

pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
