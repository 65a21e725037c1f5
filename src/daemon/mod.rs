//! The resolver process: startup, signals, reload, stop.
