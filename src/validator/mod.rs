//! DNSSEC validation: from a response and what vouches for it to a verdict.
