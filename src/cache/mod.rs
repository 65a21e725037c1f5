//! What was learned, in memory of fixed size: answers, RRsets, delegations, servers, keys.

mod answer;
mod delegation;

pub use answer::Answer;
pub use delegation::{DelegationPoint, DelegationSource};
