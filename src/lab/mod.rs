//! A miniature signed Internet: mock authoritative servers with knobs for everything that goes wrong.
