//! The launcher: does for anybody what systemd does for a unit.
