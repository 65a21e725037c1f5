//! `server:` options of listeners, streams and the process.

use super::rows::rows;
use super::{Directive, why};
use crate::config::draft;
use crate::config::net::AccessAction;
use crate::config::shape::NO_MAX;
use crate::config::shape::Shape::{
    Interface, Netblock, Number, OneOf, Pair, Path, PortRange, Ports, PowerOfTwo, Size, Text, YesNo,
};
use crate::config::shape::spellings;

const NO_REUSE: &str = "has no effect: a connection to a server is for one query";

pub(super) const SERVER: &[Directive] = rows! { Server:
    //--- Process
    "num-threads" Number(1, 1024), "1", set(num_threads);
    "Worker threads; each owns the queries it accepted."
    "do-daemonize" YesNo, "yes", ignored(why::SERVICE, "no");
    "Go into the background after starting."
    "use-systemd" YesNo, "no", ignored("has no effect: passed sockets are always used", "yes");
    "Take listening sockets from systemd."
    "chroot" Path, "", call(draft::chroot);
    "Directory that paths of other options may begin with; the process does not change its root."
    "username" Text, "unbound", ignored(why::SERVICE, "");
    "User to run as."
    "directory" Path, "", call(draft::directory);
    "Directory that relative paths are relative to; that of the configuration file by default."
    "pidfile" Path, "/run/unbound.pid", ignored(why::SERVICE, "");
    "File that the process id is written to."
    "verbosity" Number(0, 5), "1", set(verbosity);
    "How much is logged, from errors only (0) to everything (5)."
    "logfile" Path, "", ignored(why::LOG);
    "File that log lines are appended to."
    "use-syslog" YesNo, "yes", ignored(why::LOG, "no");
    "Log to syslog."
    "log-identity" Text, "", ignored(why::LOG);
    "Name of the program in log lines."
    "log-time-ascii" YesNo, "no", ignored(why::LOG, "yes");
    "Write the time of log lines as a date."
    "log-time-iso" YesNo, "no", ignored(why::LOG, "yes");
    "Write the time of log lines as in ISO 8601."
    "log-thread-id" YesNo, "no", ignored(why::LOG, "yes");
    "Write the id of the thread in the system into log lines."
    "log-queries" YesNo, "no", set(log_queries);
    "Log a line per client query."
    "log-replies" YesNo, "no", set(log_replies);
    "Log a line per answer, with rcode, time and size."
    "log-tag-queryreply" YesNo, "no", ignored("has no effect: those lines always do", "yes");
    "Begin those lines with the word query or reply."
    "log-destaddr" YesNo, "no", ignored(why::NOT_YET);
    "Log with an answer which of our addresses was asked."
    "log-local-actions" YesNo, "no", set(log_local_actions);
    "Log a line per question answered from a local zone."
    "log-servfail" YesNo, "no", set(log_servfail);
    "Log a line per SERVFAIL, with the reason."
    "statistics-interval" Number(0, NO_MAX), "0", set(statistics_interval);
    "Seconds between statistics in the log; 0 for never."
    "statistics-cumulative" YesNo, "no", set(statistics_cumulative);
    "Go on counting after statistics were shown."
    "extended-statistics" YesNo, "no", set(extended_statistics);
    "Count by type, class, opcode, rcode and flags as well."
    "statistics-inhibit-zero" YesNo, "yes", set(statistics_inhibit_zero);
    "Leave extended statistics that are zero out."
    "shm-enable" YesNo, "no", ignored("has no effect: statistics are not in shared memory");
    "Keep statistics in shared memory."
    "shm-key" Number(0, NO_MAX), "11777", ignored("has no effect: statistics are not in shared memory");
    "Key of that shared memory; the next number is used as well."

    //--- Listeners
    "port" Number(1, 65535), "53", set(port);
    "Port of interfaces that are written without one."
    "interface" Interface, "", list(draft::interface);
    "Address, with @PORT or without, that clients are expected to find us at."
    "interface-automatic" YesNo, "no", set(interface_automatic);
    "Listen on all addresses and answer from the one that was asked."
    "interface-automatic-ports" Ports, "", set(interface_automatic_ports);
    "Ports that interface-automatic listens on, with spaces between them; that of port by default."
    "so-rcvbuf" Size, "0", set(so_rcvbuf);
    "Receive buffer of UDP listeners; 0 leaves it to the system."
    "so-sndbuf" Size, "4194304", set(so_sndbuf);
    "Send buffer of UDP listeners; 0 leaves it to the system."
    "so-reuseport" YesNo, "yes", set(so_reuseport);
    "One listener per thread on the same address."
    "ip-transparent" YesNo, "no", set(ip_transparent);
    "Listen on addresses the host does not have."
    "ip-freebind" YesNo, "no", set(ip_freebind);
    "Listen on addresses the host does not have yet."
    "ip-dscp" Number(0, 63), "0", set(ip_dscp);
    "Differentiated services code point of our packets."
    "do-ip4" YesNo, "yes", set(do_ip4);
    "Serve and ask over IPv4."
    "do-ip6" YesNo, "yes", set(do_ip6);
    "Serve and ask over IPv6."
    "do-udp" YesNo, "yes", set(do_udp);
    "Serve and ask over UDP."
    "do-tcp" YesNo, "yes", set(do_tcp);
    "Serve and ask over TCP."
    "sock-queue-timeout" Number(0, NO_MAX), "0", ignored(why::NOT_YET);
    "Seconds a query may have waited in the socket before it is dropped; 0 for any time."
    "proxy-protocol-port" Number(1, 65535), "", ignored_list(why::NOT_YET);
    "Port of interfaces on which clients are announced by PROXYv2."

    //--- Streams
    "incoming-num-tcp" Number(0, 1_000_000), "10", set(incoming_num_tcp);
    "Connections of clients, per thread; 0 refuses TCP."
    "tcp-mss" Number(0, 65535), "0", ignored(why::SOCKETS);
    "Largest TCP segment towards clients; 0 leaves it to the system."
    "tcp-idle-timeout" Number(1, NO_MAX), "30000", set(tcp_idle_timeout);
    "Milliseconds a client connection without queries stays open; fewer when places get scarce."
    "edns-tcp-keepalive" YesNo, "no", set(edns_tcp_keepalive);
    "Tell clients how long a connection may be idle (RFC 7828)."
    "edns-tcp-keepalive-timeout" Number(0, NO_MAX), "120000", set(edns_tcp_keepalive_timeout);
    "Milliseconds a connection stays open when the client was told so."
    "stream-wait-size" Size, "4194304", set(stream_wait_size);
    "Bytes of answers that may wait in all streams together."
    "tcp-connection-limit" Pair(&Netblock, &Number(0, NO_MAX)), "", push(tcp_connection_limit);
    "Connections at once from the addresses of a netblock; the most specific counts."

    //--- TLS, HTTPS, QUIC
    "tls-service-key" Path, "", kept(tls_service_key, why::TLS);
    "Private key of the TLS and HTTPS listeners."
    "tls-service-pem" Path, "", kept(tls_service_pem, why::TLS);
    "Certificate chain of the TLS and HTTPS listeners."
    "tls-port" Number(1, 65535), "853", set(tls_port);
    "Port on which streams speak TLS (RFC 7858)."
    "tls-additional-port" Number(1, 65535), "", push(tls_additional_port);
    "Further port on which streams speak TLS."
    "tls-session-ticket-keys" Path, "", ignored_list(why::TLS);
    "File with 80 random bytes for TLS session tickets; the first encrypts."
    "tls-ciphers" Text, "", ignored(why::TLS);
    "Cipher list for TLS 1.2."
    "tls-ciphersuites" Text, "", ignored(why::TLS);
    "Cipher suites for TLS 1.3."
    "tls-protocols" Text, "TLSv1.2 TLSv1.3", ignored(why::TLS);
    "Versions of TLS that are spoken."
    "tls-use-sni" YesNo, "yes", set(tls_use_sni);
    "Send the name of the server in TLS handshakes."
    "tls-cert-bundle" Path, "", set(tls_cert_bundle);
    "Certificates that upstream servers are checked against."
    "tls-system-cert" YesNo, "no", set(tls_system_cert);
    "Check upstream servers against the certificates of the system."
    "pad-responses" YesNo, "yes", ignored(why::TLS);
    "Pad answers over TLS when the query was padded (RFC 7830)."
    "pad-responses-block-size" Number(1, 65535), "468", ignored(why::TLS);
    "Padded answers have a multiple of this size."
    "pad-queries" YesNo, "yes", set(pad_queries);
    "Pad queries sent over TLS."
    "pad-queries-block-size" Number(1, 65535), "128", set(pad_queries_block_size);
    "Padded queries have a multiple of this size."
    "https-port" Number(1, 65535), "443", set(https_port);
    "Port on which streams speak HTTPS (RFC 8484)."
    "http-endpoint" Text, "/dns-query", kept(http_endpoint, why::HTTP);
    "Path of DNS over HTTPS."
    "http-max-streams" Number(1, NO_MAX), "100", ignored(why::HTTP);
    "HTTP/2 streams at once in a connection."
    "http-query-buffer-size" Size, "4194304", ignored(why::HTTP);
    "Bytes of queries that may be incomplete in all HTTP/2 streams."
    "http-response-buffer-size" Size, "4194304", ignored(why::HTTP);
    "Bytes of answers that may wait in all HTTP/2 streams."
    "http-nodelay" YesNo, "yes", ignored(why::HTTP);
    "Set TCP_NODELAY on HTTPS connections."
    "http-notls-downstream" YesNo, "no", ignored(why::HTTP);
    "Serve DNS over HTTP without TLS."
    "quic-port" Number(1, 65535), "853", ignored("has no effect yet: QUIC is not supported");
    "Port on which datagrams speak QUIC (RFC 9250)."
    "quic-size" Size, "8388608", ignored("has no effect yet: QUIC is not supported");
    "Bytes of all QUIC buffers."

    //--- Outgoing sockets
    "outgoing-interface" Netblock, "", push(outgoing_interface);
    "Address to ask from; several are used at random. The system chooses by default."
    "outgoing-range" Number(1, 1_000_000), "4096", set(outgoing_range);
    "Sockets for queries, per thread."
    "outgoing-port-permit" PortRange, "", list(draft::port_permit);
    "Ports our queries may come from; read in order with outgoing-port-avoid."
    "outgoing-port-avoid" PortRange, "", list(draft::port_avoid);
    "Ports our queries may not come from; read in order with outgoing-port-permit."
    "outgoing-num-tcp" Number(0, 1_000_000), "10", ignored("has no effect: connections to servers count towards outgoing-range");
    "Connections to servers, per thread; 0 for none."
    "outgoing-tcp-mss" Number(0, 65535), "0", ignored(why::BROKER);
    "Largest TCP segment towards servers; 0 leaves it to the system."
    "udp-connect" YesNo, "yes", ignored("has no effect: sockets for queries are always connected");
    "Connect the UDP sockets of queries."
    "delay-close" Number(0, NO_MAX), "0", ignored("has no effect: a socket is for one query");
    "Milliseconds a UDP socket stays open after its query timed out."
    "tcp-auth-query-timeout" Number(1, NO_MAX), "3000", set(tcp_auth_query_timeout);
    "Milliseconds for a query over TCP."
    "tcp-reuse-timeout" Number(0, NO_MAX), "60000", ignored(NO_REUSE);
    "Milliseconds a connection to a server is kept for the next query."
    "max-reuse-tcp-queries" Number(0, NO_MAX), "200", ignored(NO_REUSE);
    "Queries sent over one connection."
    "msg-buffer-size" Number(4096, 65552), "65552", ignored("has no effect: messages may have any size");
    "Bytes of the largest message."
    "infra-cache-slabs" PowerOfTwo, "4", ignored(why::SLABS);
    "Parts of the infrastructure cache."
    "msg-cache-slabs" PowerOfTwo, "4", ignored(why::SLABS);
    "Parts of the cache of answers."
    "rrset-cache-slabs" PowerOfTwo, "4", ignored(why::SLABS);
    "Parts of the cache of RRsets."
    "key-cache-slabs" PowerOfTwo, "4", ignored(why::SLABS);
    "Parts of the cache of keys."
    "ip-ratelimit-slabs" PowerOfTwo, "4", ignored(why::SLABS);
    "Parts of the table of client rates."
    "ratelimit-slabs" PowerOfTwo, "4", ignored(why::SLABS);
    "Parts of the table of zone rates."
    "dns-error-reporting" YesNo, "no", kept(dns_error_reporting, why::NOT_YET);
    "Report errors to the agent that a zone names (RFC 9567)."
    "udp-upstream-without-downstream" YesNo, "no", set(udp_upstream_without_downstream);
    "Ask over UDP although do-udp is off."
    "tcp-upstream" YesNo, "no", set(tcp_upstream);
    "Ask over TCP only."
    "tls-upstream" YesNo, "no", set(tls_upstream);
    "Ask over TLS only."
};

/// What clients may do: `access-control:` and its like.
pub(super) const ACCESS: super::Shape =
    OneOf(&spellings::<_, { AccessAction::SPELLINGS.len() }>(AccessAction::SPELLINGS));
