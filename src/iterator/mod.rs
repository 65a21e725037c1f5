//! Iterative resolution: from a question to a response, one referral at a time.
