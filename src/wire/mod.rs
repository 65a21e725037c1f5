//! Names, messages and records as they are on the wire.
