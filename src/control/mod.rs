//! The operator's side: Unbound's control protocol.
