//! Being a good service: passed descriptors, notification, watchdog, sandbox.
