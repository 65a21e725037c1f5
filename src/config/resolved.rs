//! The checked configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::auth::AuthZone;
use super::hints;
use super::net::{AccessAction, Netblock};
use super::policy::PolicyOptions;
use super::prefix64::Prefix64;
use super::values::{Ede, Iterations, Module, Nsid, OutgoingPorts, ValDate};
use super::zone::{AnchorFile, Followed, LocalZone, RootHint, TrustAnchor, ZoneTarget};
use crate::budget::UPSTREAM_QUERIES;
use crate::wire::{Name, Record};

mod defaults;

/// Everything unbound.conf says, checked, with defaults filled in. It never changes after
/// loading; a reload makes a new one.
///
/// A field has the name of its option in snake case. Sizes are in bytes. Times are in the unit
/// of the option, which the field states. [`Config::default`] is what an empty file gives, apart
/// from the trust anchors, which depend on the rest (see [`super::load`]). The defaults are those of
/// Unbound 1.26 except `ede` (for failures), `max-global-quota`, features that are not there yet
/// (off), and those that only describe paths, users and logging of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    //--- Threads and listeners
    /// Worker threads.
    pub num_threads: u16,
    /// Port for `interface:` lines without `@PORT`.
    pub port: u16,
    /// Where clients are expected to find us. The sockets come from outside; this is what they
    /// are compared with.
    pub interfaces: Vec<SocketAddr>,
    /// `interface:` lines that name a network interface, as written.
    pub interface_names: Vec<String>,
    /// Listeners are on all addresses, whatever [`Config::interfaces`] says.
    pub interface_automatic: bool,
    /// The ports of those; empty: [`Config::port`].
    pub interface_automatic_ports: Vec<u16>,
    /// Bytes that UDP listeners may have waiting to be read; 0: the system decides.
    pub so_rcvbuf: u32,
    /// Bytes that UDP listeners may have waiting to be sent; 0: the system decides.
    pub so_sndbuf: u32,
    /// One UDP listener per thread on each address.
    pub so_reuseport: bool,
    /// Listeners may have addresses that others have.
    pub ip_transparent: bool,
    /// Listeners may have addresses that nobody has yet.
    pub ip_freebind: bool,
    /// Differentiated services code point of what listeners send.
    pub ip_dscp: u8,
    /// Port on which streams speak TLS (RFC 7858).
    pub tls_port: u16,
    /// Further ports on which streams speak TLS.
    pub tls_additional_port: Vec<u16>,
    /// Port on which streams speak HTTPS (RFC 8484).
    pub https_port: u16,
    /// Private key of the TLS listeners; empty: none.
    pub tls_service_key: PathBuf,
    /// Certificate chain of the TLS listeners; empty: none.
    pub tls_service_pem: PathBuf,
    /// Certificates that upstream servers are checked against; empty: none.
    pub tls_cert_bundle: PathBuf,
    /// Path of DNS over HTTPS.
    pub http_endpoint: String,
    /// Serve IPv4 clients and ask over IPv4.
    pub do_ip4: bool,
    /// Serve IPv6 clients and ask over IPv6.
    pub do_ip6: bool,
    /// Serve and ask over UDP.
    pub do_udp: bool,
    /// Serve and ask over TCP.
    pub do_tcp: bool,
    /// Stream connections of clients, per thread.
    pub incoming_num_tcp: usize,
    /// Milliseconds a stream without queries stays open; less when few are left.
    pub tcp_idle_timeout: u32,
    /// Offer clients the keepalive option on streams (RFC 7828).
    pub edns_tcp_keepalive: bool,
    /// Milliseconds a stream stays open when keepalive was negotiated.
    pub edns_tcp_keepalive_timeout: u32,
    /// Most streams at once from the addresses of a netblock; the most specific counts.
    pub tcp_connection_limit: Vec<(Netblock, u32)>,
    /// Bytes of answers that may wait in all streams of a thread.
    pub stream_wait_size: usize,
    //--- Clients
    /// Who may ask; the most specific block decides ([`Config::access`]).
    pub access_control: Vec<(Netblock, AccessAction)>,
    /// Largest UDP answer.
    pub max_udp_size: u16,
    /// Drop queries too large to be ordinary ones.
    pub harden_large_queries: bool,
    /// Leave out of answers what the question does not need.
    pub minimal_responses: bool,
    /// Answer ANY with one small answer (RFC 8482).
    pub deny_any: bool,
    /// Rotate records of an RRset between answers.
    pub rrset_roundrobin: bool,
    /// Validate although the client set CD.
    pub ignore_cd_flag: bool,
    /// Extended DNS Errors (RFC 8914). For failures here, off in Unbound.
    pub ede: Ede,
    /// EDE 3 (Stale Answer) with expired answers.
    pub ede_serve_expired: bool,
    /// Questions of clients in flight, per thread, however many clients wait for each.
    pub num_queries_per_thread: usize,
    /// Milliseconds after which a query may be pushed out when all places are taken.
    pub jostle_timeout: u32,
    /// Queries one client address may have waiting; 0: any number.
    pub wait_limit: u32,
    /// [`Config::wait_limit`] for netblocks; None: any number. Among those of one size the last
    /// counts; loopback has no limit unless it is given one.
    pub wait_limit_netblock: Vec<(Netblock, Option<u32>)>,
    /// [`Config::wait_limit`] for clients with a valid cookie; 0: any number.
    pub wait_limit_cookie: u32,
    /// [`Config::wait_limit_cookie`] for netblocks; None: any number.
    pub wait_limit_cookie_netblock: Vec<(Netblock, Option<u32>)>,
    /// Queries per second of a client address; 0: any number.
    pub ip_ratelimit: u32,
    /// Queries per second of a client with a valid cookie; 0: any number.
    pub ip_ratelimit_cookie: u32,
    /// Bytes for rates of clients.
    pub ip_ratelimit_size: usize,
    /// One in so many queries above the limit is answered; 0: none.
    pub ip_ratelimit_factor: u32,
    /// The limit holds until the client slows down.
    pub ip_ratelimit_backoff: bool,
    /// Queries per second to the servers of a zone; 0: any number.
    pub ratelimit: u32,
    /// Bytes for rates of zones.
    pub ratelimit_size: usize,
    /// One in so many queries above the limit is sent; 0: none.
    pub ratelimit_factor: u32,
    /// The limit holds until demand sinks.
    pub ratelimit_backoff: bool,
    /// [`Config::ratelimit`] of single zones.
    pub ratelimit_for_domain: Vec<(Name, u32)>,
    /// [`Config::ratelimit`] of the zones below names.
    pub ratelimit_below_domain: Vec<(Name, u32)>,
    /// Give clients DNS cookies (RFC 7873).
    pub answer_cookie: bool,
    /// Secrets they are made with, the active one first (`cookie-secret:`, or the content of
    /// `cookie-secret-file:`); empty: a random one, for as long as the process lives.
    pub cookie_secrets: Vec<[u8; 16]>,
    /// Where those come from; empty: from no file.
    pub cookie_secret_file: PathBuf,
    /// Refuse `id.server.` and `hostname.bind.`.
    pub hide_identity: bool,
    /// What those say; empty: the host name.
    pub identity: String,
    /// Refuse `version.server.` and `version.bind.`.
    pub hide_version: bool,
    /// What those say; empty: name and version of the package.
    pub version: String,
    /// Refuse `trustanchor.unbound.`.
    pub hide_trustanchor: bool,
    /// Name server identifier (RFC 5001); None: not sent.
    pub nsid: Option<Nsid>,
    /// Names answered from the configuration, without the zones that are always there.
    pub local_zones: Vec<LocalZone>,
    /// Records of local zones.
    pub local_data: Vec<Record>,
    /// Take the private reverse zones (RFC 6303) off the list of zones that are always there.
    pub unblock_lan_zones: bool,
    /// Do not validate in the private reverse zones.
    pub insecure_lan_zones: bool,
    /// Tags, views, response addresses, response policy zones.
    pub policy: PolicyOptions,

    //--- Upstream
    /// EDNS size in our queries (RFC 6891).
    pub edns_buffer_size: u16,
    /// Our own addresses to ask from; empty: the system chooses.
    pub outgoing_interface: Vec<Netblock>,
    /// Source ports of our queries (`outgoing-port-permit:`, `outgoing-port-avoid:`).
    pub outgoing_ports: OutgoingPorts,
    /// Sockets for queries, per thread.
    pub outgoing_range: usize,
    /// Ask over TCP only.
    pub tcp_upstream: bool,
    /// Ask over TLS only.
    pub tls_upstream: bool,
    /// Ask over UDP although `do-udp` is off.
    pub udp_upstream_without_downstream: bool,
    /// Milliseconds for a query over TCP.
    pub tcp_auth_query_timeout: u32,
    /// Ask over IPv4 where a server has both.
    pub prefer_ip4: bool,
    /// Ask over IPv6 where a server has both.
    pub prefer_ip6: bool,
    /// Addresses never asked, [`Config::do_not_query_localhost`] included.
    pub do_not_query_address: Vec<Netblock>,
    /// Never ask 127.0.0.0/8 and ::1.
    pub do_not_query_localhost: bool,
    /// Name servers of the root.
    pub root_hints: Vec<RootHint>,
    /// Zones resolved by other resolvers.
    pub forward_zones: Vec<ZoneTarget>,
    /// Zones whose authoritative servers are given here.
    pub stub_zones: Vec<ZoneTarget>,
    /// Zones kept as copies.
    pub auth_zones: Vec<AuthZone>,
    /// A zone whose digest is wrong is used all the same (`zonemd-check:`).
    pub zonemd_permissive_mode: bool,
    /// Certificates, in DER, that servers asked over TLS are checked against.
    pub tls_roots: Vec<Vec<u8>>,
    /// Also those of the system.
    pub tls_system_cert: bool,
    /// Tell servers in the handshake by which name we know them.
    pub tls_use_sni: bool,
    /// Pad queries over TLS.
    pub pad_queries: bool,
    /// To multiples of so many octets.
    pub pad_queries_block_size: usize,
    /// Do not ask another server when signatures are missing.
    pub disable_dnssec_lame_check: bool,
    /// What servers of a netblock are told in an EDNS option; the most specific block counts.
    pub edns_client_string: Vec<(Netblock, String)>,
    /// Code of that option.
    pub edns_client_string_opcode: u16,
    /// Where AAAA records made of A records point (RFC 6147).
    pub dns64_prefix: Prefix64,
    /// Make AAAA records although there are some.
    pub dns64_synthall: bool,
    /// Names whose AAAA records are replaced, with everything below.
    pub dns64_ignore_aaaa: Vec<Name>,
    /// Reach IPv4 servers by NAT64.
    pub do_nat64: bool,
    /// Prefix that IPv4 servers are reached by; that of DNS64 unless given.
    pub nat64_prefix: Option<Prefix64>,
    /// That prefix, when it is used.
    pub nat64: Option<Prefix64>,
    /// What processes a query, in order.
    pub module_config: Vec<Module>,
    /// Use glue only from the zone's own servers.
    pub harden_glue: bool,
    /// Look up addresses that came as glue before using them.
    pub harden_unverified_glue: bool,
    /// NXDOMAIN also denies everything below (RFC 8020), when secure.
    pub harden_below_nxdomain: bool,
    /// Remove NS records that come unasked with a positive answer.
    pub iter_scrub_promiscuous: bool,
    /// Name servers kept of an NS RRset; 0: all.
    pub iter_scrub_ns: usize,
    /// Alias records kept of a response; 0: all.
    pub iter_scrub_cname: usize,
    /// Signatures kept of an RRset; 0: all.
    pub iter_scrub_rrsig: usize,
    /// Random letter case in questions.
    pub use_caps_for_id: bool,
    /// Names asked in plain case, with everything below.
    pub caps_exempt: Vec<Name>,
    /// Ask servers only as much of the name as they need (RFC 9156).
    pub qname_minimisation: bool,
    /// Never fall back to the full name.
    pub qname_minimisation_strict: bool,
    /// Addresses that names outside [`Config::private_domain`] may not have.
    pub private_address: Vec<Netblock>,
    /// Names that may have them, with everything below.
    pub private_domain: Vec<Name>,
    /// Times a query is sent to one server.
    pub outbound_msg_retry: u32,
    /// Queries to servers for one question.
    pub max_sent_count: u32,
    /// Aliases followed for one question.
    pub max_query_restarts: u32,
    /// Queries to servers for one client query, with everything it needs. Differs on purpose from
    /// Unbound's 200, see [`UPSTREAM_QUERIES`].
    pub max_global_quota: u32,
    /// Milliseconds to wait for a server nothing is known about.
    pub unknown_server_time_limit: u32,
    /// Permil of queries sent to one of the fastest servers; 0: off.
    pub fast_server_permil: u32,
    /// How many servers count as fastest.
    pub fast_server_num: u32,
    /// Send queries without DO.
    pub disable_edns_do: bool,
    /// Reports DNS errors to the reporting agent of a zone (RFC 9567).
    pub dns_error_reporting: bool,

    //--- Caches
    /// Bytes for finished answers.
    pub msg_cache_size: usize,
    /// Bytes for RRsets.
    pub rrset_cache_size: usize,
    /// Bytes for verified keys.
    pub key_cache_size: usize,
    /// Octets of proven denials kept for `aggressive_nsec`.
    pub neg_cache_size: usize,
    /// Servers remembered.
    pub infra_cache_numhosts: usize,
    /// Seconds what we know of a server is believed.
    pub infra_host_ttl: u32,
    /// Milliseconds, the least a server is waited for.
    pub infra_cache_min_rtt: u32,
    /// Milliseconds, the most a server is waited for.
    pub infra_cache_max_rtt: u32,
    /// Seconds, cap of TTLs.
    pub cache_max_ttl: u32,
    /// Seconds, floor of TTLs.
    pub cache_min_ttl: u32,
    /// Seconds, cap of the TTL of denials (RFC 2308 §5).
    pub cache_max_negative_ttl: u32,
    /// Seconds, floor of the TTL of denials.
    pub cache_min_negative_ttl: u32,
    /// Refresh popular answers before they expire.
    pub prefetch: bool,
    /// Answer with expired data when there is nothing better (RFC 8767).
    pub serve_expired: bool,
    /// Seconds that data may be expired; 0: any.
    pub serve_expired_ttl: u32,
    /// Count that time from the last try to refresh.
    pub serve_expired_ttl_reset: bool,
    /// Seconds, TTL of expired data in answers.
    pub serve_expired_reply_ttl: u32,
    /// Milliseconds a client waits for fresh data before it gets expired; 0: not at all.
    pub serve_expired_client_timeout: u32,
    /// TTLs in answers do not count down.
    pub serve_original_ttl: bool,

    //--- Validation
    /// What is trusted whatever happens: from `trust-anchor:` and files that are only read, or built
    /// in. See [`Config::anchors`] for what is in use.
    pub trust_anchors: Vec<TrustAnchor>,
    /// Files whose anchors follow key rollovers (RFC 5011).
    pub auto_trust_anchor_file: Vec<PathBuf>,
    /// What was in those files.
    pub anchor_files: Vec<AnchorFile>,
    /// What is in use when there are such files, [`Config::trust_anchors`] included.
    pub followed: Followed,
    /// Seconds a new key has to be seen before it is trusted (RFC 5011 §2.4.1).
    pub add_holddown: u32,
    /// Seconds a revoked key stays in the file (RFC 5011 §2.4.2).
    pub del_holddown: u32,
    /// Seconds a missing key stays in the file; 0 for ever.
    pub keep_missing: u32,
    /// Allow hold-down and probe times below an hour.
    pub permit_small_holddown: bool,
    /// Names not validated, with everything below (negative trust anchors, RFC 7646).
    pub domain_insecure: Vec<Name>,
    /// The time signatures are checked against, where it is not the real one.
    pub val_override_date: ValDate,
    /// Seconds, least allowance for a clock that differs.
    pub val_sig_skew_min: u32,
    /// Seconds, greatest allowance for a clock that differs.
    pub val_sig_skew_max: u32,
    /// Seconds bogus data is remembered.
    pub val_bogus_ttl: u32,
    /// Times a bogus answer is asked for again at another server.
    pub val_max_restart: u32,
    /// Remove unsigned data from the additional section of secure answers.
    pub val_clean_additional: bool,
    /// 0: do not log failures of validation, 1: one line, 2: with the reason.
    pub val_log_level: u8,
    /// Give bogus answers to clients, without AD.
    pub val_permissive_mode: bool,
    /// NSEC3 iterations allowed by key size in bits, in order; above: insecure (RFC 9276).
    pub val_nsec3_keysize_iterations: Vec<Iterations>,
    /// A zone with an anchor that comes without signatures is bogus.
    pub harden_dnssec_stripped: bool,
    /// Every algorithm of the DS RRset has to verify.
    pub harden_algo_downgrade: bool,
    /// Deny names, and expand wildcards, by proofs that are known already (RFC 8198).
    pub aggressive_nsec: bool,
    /// RSA/SHA-1 signatures and SHA-1 DS records are verified and believed; without, a zone that
    /// has nothing better is insecure (RFC 9905).
    pub val_accept_sha1: bool,
    /// For tests: RSA/SHA-1 and DSA signatures and SHA-1 digests count as good, unseen.
    pub fake_sha1: bool,
    /// For tests: DSA signatures count as good, unseen.
    pub fake_dsa: bool,

    //--- Operation
    /// How much is logged, 0 to 5.
    pub verbosity: u8,
    /// One line per client query.
    pub log_queries: bool,
    /// One line per answer.
    pub log_replies: bool,
    /// One line per question answered from a local zone.
    pub log_local_actions: bool,
    /// One line per SERVFAIL, with the reason.
    pub log_servfail: bool,
    /// Seconds between statistics in the log; 0: never.
    pub statistics_interval: u32,
    /// Statistics count on after they were shown.
    pub statistics_cumulative: bool,
    /// Statistics by type, class, rcode and more.
    pub extended_statistics: bool,
    /// Leave out of those what is zero.
    pub statistics_inhibit_zero: bool,
    /// What relative paths are relative to.
    pub directory: PathBuf,
    /// A control socket is expected to be passed.
    pub control_enable: bool,
    /// Where the control protocol is expected to be served: an address, or the path of a socket.
    pub control_interface: Vec<String>,
    /// Control connections over TCP use TLS.
    pub control_use_cert: bool,
    /// Private key of the control listener.
    pub server_key_file: PathBuf,
    /// Certificate of the control listener.
    pub server_cert_file: PathBuf,
    /// Private key of `unbound-control`.
    pub control_key_file: PathBuf,
    /// Certificate of `unbound-control`.
    pub control_cert_file: PathBuf,
}

/// 127.0.0.0/8.
pub(super) const LOOPBACK_V4: (IpAddr, u8) = (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);
/// ::1/128.
pub(super) const LOOPBACK_V6: (IpAddr, u8) = (IpAddr::V6(Ipv6Addr::LOCALHOST), 128);
/// ::ffff:127.0.0.1/128, as a dual-stack socket shows it.
const LOOPBACK_MAPPED: (IpAddr, u8) = (IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), 128);

impl Config {
    fn default_access() -> Vec<(Netblock, AccessAction)> {
        [LOOPBACK_V4, LOOPBACK_V6, LOOPBACK_MAPPED]
            .map(|(addr, prefix)| (Netblock::new(addr, prefix), AccessAction::Allow))
            .to_vec()
    }
}
