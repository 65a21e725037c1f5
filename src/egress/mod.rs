//! The way out: the broker that opens sockets, and the protocol spoken with it.
