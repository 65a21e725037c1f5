//! Transfers: looking for new versions of a zone, and getting them.

mod refresh;
mod stream;

pub use refresh::{Action, Event, Known, Note, Refresher};
pub use stream::{MAX_OCTETS, Transfer, TransferError, Transferred};
