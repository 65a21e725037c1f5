//! prebound: a validating, recursive, caching DNS resolver that never calls socket(2).
//!
//! Every socket it listens on is passed in by the service manager (`LISTEN_FDS`), every socket it
//! asks with comes from a small broker. What is left is pure computation over descriptors that
//! somebody else opened.
//!
//! # Layers
//!
//! A module names only modules in rows below its own; `tests/layers.rs` enforces it.
//!
//! ```text
//!  8  daemon   launch   checkconf               startup, signals, reload, stop
//!  7  frontend  control   lab                  clients and operators; an Internet of our own
//!  6  engine                                   tokio: one worker per thread; performs actions
//!  ─────────────── async and system calls above, pure below ───────────────
//!  5  mesh                                     questions in flight: joins equal ones, subqueries
//!  4  iterator │ validator │ policy            sans-IO state machines; may this client ask
//!  3  cache │ egress │ authority │ units │ rollover    shared memory; the way out; anchors
//!  2  config  metrics  logging  systemd  sandbox  state
//!  1  wire  budget                             names, messages, records; limits on work
//!  0  clock  status                            time, verdicts
//! ```

pub mod authority;
pub mod budget;
pub mod cache;
pub mod checkconf;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod egress;
pub mod engine;
pub mod frontend;
pub mod iterator;
pub mod lab;
pub mod launch;
pub mod logging;
pub mod mesh;
pub mod metrics;
pub mod policy;
pub mod rollover;
pub mod sandbox;
pub mod state;
pub mod status;
pub mod systemd;
pub mod units;
pub mod validator;
pub mod wire;
