//! What was learned, in memory of fixed size: answers, RRsets, delegations, servers, keys.
