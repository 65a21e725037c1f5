//! May this client ask, and do we know the answer locally.
