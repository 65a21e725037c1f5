//! Diagnostics on standard error and in the journal.
