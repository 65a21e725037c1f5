//! The way out: the broker that opens sockets, and the protocol spoken with it.
//!
//! The daemon has no socket(2). When it wants to ask a server it sends a [`protocol::Request`]
//! to the broker, which checks its policy, opens a socket, binds it to a random port, connects
//! it, and passes it back. A socket is used for one question and closed.
//!
//! ```text
//!   daemon (client)                                broker
//!     │ ── Hello + one end of a new channel ──►      │   over the rendezvous, a datagram socket
//!     │                                              │   that outlives both
//!     │ ── requests, many in one message ───────►    │ ┐
//!     │ ◄── replies, with the sockets ───────────    │ ┘ over the channel
//! ```
//!
//! When the broker dies the channel breaks; the daemon sends a new end through the rendezvous,
//! where it waits until the next broker reads it, and repeats every request that has no reply.
//! So a restart of the broker costs time, never a query.

pub mod broker;
pub mod client;
pub mod descriptors;
pub mod dial;
pub mod policy;
pub mod program;
pub mod protocol;
