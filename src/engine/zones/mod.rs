//! Keeping copies of zones: from their files, by transfers, and checked.

mod alarm;
mod keeper;
mod load;
mod verify;

pub use keeper::{Keeper, Observer, Order, Orders, keep};
pub use load::{LoadError, load, load_all};
pub use verify::Verdict;
