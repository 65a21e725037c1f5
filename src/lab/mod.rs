//! A miniature Internet: signed zones, their servers, and everything that can go wrong with them.
//!
//! A [`World`] is read from a text. It is a function from queries to responses; time is an
//! argument, so that scenarios run at the speed of a unit test. The same world can be put behind
//! real sockets.

mod answer;
mod broker;
mod denial;
mod faults;
mod network;
mod scenario;
mod server;
mod signer;
mod sim;
mod text;
mod world;
mod zone;

#[cfg(test)]
mod tests;

pub use answer::Response;
pub use broker::{INTERNET, SAMPLES, ServeError, dial, serve};
pub use denial::{Denial, Proof};
pub use faults::{Behavior, DsKind, Fault, FaultKind, Plain};
pub use network::Network;
pub use scenario::{Ask, Asked, Failure, Resolver, Scenario, Seen};
pub use server::{FORGED, Reply, Server};
pub use signer::{Algorithm, Key};
pub use sim::{LATENCY, Sim};
pub use text::{LabError, Line, Mistake};
pub use world::World;
pub use zone::{KeyPlan, Zone};

pub use crate::egress::protocol::Transport;
