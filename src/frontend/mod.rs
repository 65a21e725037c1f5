//! The clients' side: DNS over UDP and TCP on passed sockets.
