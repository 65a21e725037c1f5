//! Conversations with scripted servers, in simulated time: one per behavior of the iterator.

mod chaos;
mod configured;
mod copies;
mod hostile;
mod servers;
mod tls;
mod usual;
pub(crate) mod world;
