//! Being a good service: passed descriptors, notification, watchdog, exit codes.
//!
//! Nothing here calls socket(2). What systemd's own library does with a socket of its own
//! (`sd_notify`) is done over one end of a socketpair(2).

pub mod claim;
pub mod descriptors;
pub mod exit;
pub mod found;
pub mod notify;
pub mod peers;
