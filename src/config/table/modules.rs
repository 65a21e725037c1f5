//! Options of modules, of remote control and of other programs Unbound talks to.

use super::rows::rows;
use super::{Directive, why};
use crate::config::draft;
use crate::config::shape::NO_MAX;
use crate::config::shape::Shape::{
    Name, Netblock, Number, Pair, Path, PowerOfTwo, Prefix64, Size, Text, YesNo,
};

const DNSTAP_TO: &str = "has no effect yet: dnstap is not supported";

pub(super) const SERVER: &[Directive] = rows! { Server:
    //--- Address translation
    "dns64-prefix" Prefix64, "64:ff9b::/96", set(dns64_prefix);
    "Prefix of the AAAA records that are made of A records (RFC 6147)."
    "dns64-synthall" YesNo, "no", set(dns64_synthall);
    "Make AAAA records although there are some."
    "dns64-ignore-aaaa" Name, "", push(dns64_ignore_aaaa);
    "Name whose AAAA records are replaced, with everything below."
    "do-nat64" YesNo, "no", set(do_nat64);
    "Reach IPv4 servers by the NAT64 prefix."
    "nat64-prefix" Prefix64, "", set(nat64_prefix);
    "Prefix that IPv4 servers are reached by; dns64-prefix by default."

    //--- Client subnet
    "send-client-subnet" Netblock, "", ignored_list(why::MODULE);
    "Servers that are told the subnet of the client (RFC 7871)."
    "client-subnet-zone" Name, "", ignored_list(why::MODULE);
    "Name whose servers are told the subnet of the client."
    "client-subnet-always-forward" YesNo, "no", ignored(why::MODULE);
    "Pass on the subnet that a client sends, to any server."
    "client-subnet-opcode" Number(0, 65535), "8", ignored(why::NO_EFFECT_THERE);
    "Code of the EDNS option; no longer used."
    "max-client-subnet-ipv4" Number(0, 32), "24", ignored(why::MODULE);
    "Longest IPv4 prefix that is told."
    "max-client-subnet-ipv6" Number(0, 128), "56", ignored(why::MODULE);
    "Longest IPv6 prefix that is told."
    "min-client-subnet-ipv4" Number(0, 32), "0", ignored(why::MODULE);
    "Shortest IPv4 prefix that is accepted."
    "min-client-subnet-ipv6" Number(0, 128), "0", ignored(why::MODULE);
    "Shortest IPv6 prefix that is accepted."
    "max-ecs-tree-size-ipv4" Number(0, NO_MAX), "100", ignored(why::MODULE);
    "IPv4 subnets remembered per question."
    "max-ecs-tree-size-ipv6" Number(0, NO_MAX), "100", ignored(why::MODULE);
    "IPv6 subnets remembered per question."
    "edns-client-string" Pair(&Netblock, &Text), "", push(edns_client_string);
    "Text that servers of a netblock are sent in an EDNS option."
    "edns-client-string-opcode" Number(0, 65535), "65001", set(edns_client_string_opcode);
    "Code of that EDNS option."

    //--- IPsec
    "ipsecmod-enabled" YesNo, "yes", ignored(why::MODULE, "no");
    "Whether the ipsecmod module does something."
    "ipsecmod-hook" Path, "", ignored(why::MODULE);
    "Program that is run when a name has an IPSECKEY record."
    "ipsecmod-strict" YesNo, "no", ignored(why::MODULE);
    "Answer SERVFAIL when that program fails."
    "ipsecmod-max-ttl" Number(0, NO_MAX), "3600", ignored(why::MODULE);
    "Seconds, cap of TTLs after that program was run."
    "ipsecmod-ignore-bogus" YesNo, "no", ignored(why::MODULE);
    "Run that program although the IPSECKEY record is bogus."
    "ipsecmod-allow" Name, "", ignored_list(why::MODULE);
    "Name that the ipsecmod module is for, with everything below; all by default."

    //--- Downloads
    "http-user-agent" Text, "", ignored(why::NO_HTTP);
    "What we call ourselves when downloading zones."
    "hide-http-user-agent" YesNo, "no", ignored(why::NO_HTTP);
    "Do not say what we are when downloading zones."
};

pub(super) const REMOTE_CONTROL: &[Directive] = rows! { RemoteControl:
    "control-enable" YesNo, "no", set(control_enable);
    "Expect a socket for unbound-control to be passed; one that is passed is served in any case."
    "control-interface" Text, "", list(draft::control_interface);
    "Absolute path of the socket that unbound-control is expected to connect to; addresses are not served yet."
    "control-port" Number(1, 65535), "8953", ignored("has no effect yet: the control protocol is served on Unix sockets only");
    "Port of control interfaces that are addresses."
    "control-use-cert" YesNo, "yes", kept(control_use_cert, why::TLS);
    "Use TLS on control connections over TCP."
    "server-key-file" Path, "/etc/unbound/unbound_server.key", kept(server_key_file, why::TLS);
    "Private key of the control listener."
    "server-cert-file" Path, "/etc/unbound/unbound_server.pem", kept(server_cert_file, why::TLS);
    "Certificate of the control listener."
    "control-key-file" Path, "/etc/unbound/unbound_control.key", kept(control_key_file, why::TLS);
    "Private key of unbound-control."
    "control-cert-file" Path, "/etc/unbound/unbound_control.pem", kept(control_cert_file, why::TLS);
    "Certificate of unbound-control."
};

pub(super) const CACHEDB: &[Directive] = rows! { Cachedb:
    "backend" Text, "testframe", ignored(why::MODULE);
    "Kind of database behind the cache."
    "secret-seed" Text, "default", ignored(why::MODULE);
    "Secret that keys in the database are made with."
    "cachedb-no-store" YesNo, "no", ignored(why::MODULE);
    "Read from the database only."
    "cachedb-check-when-serve-expired" YesNo, "yes", ignored(why::MODULE);
    "Look into the database before answering with expired data."
    "redis-server-host" Text, "127.0.0.1", ignored(why::MODULE);
    "Address or name of the Redis server."
    "redis-server-port" Number(1, 65535), "6379", ignored(why::MODULE);
    "Port of the Redis server."
    "redis-server-path" Path, "", ignored(why::MODULE);
    "Socket of the Redis server."
    "redis-server-password" Text, "", ignored(why::MODULE);
    "Password for the Redis server."
    "redis-timeout" Number(0, NO_MAX), "100", ignored(why::MODULE);
    "Milliseconds for the Redis server."
    "redis-command-timeout" Number(0, NO_MAX), "0", ignored(why::MODULE);
    "Milliseconds for a command; redis-timeout by default."
    "redis-connect-timeout" Number(0, NO_MAX), "0", ignored(why::MODULE);
    "Milliseconds for connecting; redis-timeout by default."
    "redis-expire-records" YesNo, "no", ignored(why::MODULE);
    "Let the Redis server drop what expired."
    "redis-logical-db" Number(0, NO_MAX), "0", ignored(why::MODULE);
    "Number of the database in the Redis server."
    "redis-replica-server-host" Text, "", ignored(why::MODULE);
    "Address or name of a Redis server to read from."
    "redis-replica-server-port" Number(1, 65535), "6379", ignored(why::MODULE);
    "Port of the Redis server to read from."
    "redis-replica-server-path" Path, "", ignored(why::MODULE);
    "Socket of the Redis server to read from."
    "redis-replica-server-password" Text, "", ignored(why::MODULE);
    "Password for the Redis server to read from."
    "redis-replica-timeout" Number(0, NO_MAX), "100", ignored(why::MODULE);
    "Milliseconds for the Redis server to read from."
    "redis-replica-command-timeout" Number(0, NO_MAX), "0", ignored(why::MODULE);
    "Milliseconds for a command to it; redis-replica-timeout by default."
    "redis-replica-connect-timeout" Number(0, NO_MAX), "0", ignored(why::MODULE);
    "Milliseconds for connecting to it; redis-replica-timeout by default."
    "redis-replica-logical-db" Number(0, NO_MAX), "0", ignored(why::MODULE);
    "Number of the database in the Redis server to read from."
};

pub(super) const DNSTAP: &[Directive] = rows! { Dnstap:
    "dnstap-enable" YesNo, "no", ignored(DNSTAP_TO);
    "Report messages by dnstap."
    "dnstap-bidirectional" YesNo, "yes", ignored(DNSTAP_TO);
    "Expect the receiver to acknowledge the stream."
    "dnstap-socket-path" Path, "/run/dnstap.sock", ignored(DNSTAP_TO);
    "Socket of the receiver."
    "dnstap-ip" Text, "", ignored(DNSTAP_TO);
    "Address of the receiver, with @PORT or without."
    "dnstap-tls" YesNo, "yes", ignored(DNSTAP_TO);
    "Report over TLS."
    "dnstap-tls-server-name" Text, "", ignored(DNSTAP_TO);
    "Name that the certificate of the receiver has to carry."
    "dnstap-tls-cert-bundle" Path, "", ignored(DNSTAP_TO);
    "Certificates that the receiver is checked against."
    "dnstap-tls-client-key-file" Path, "", ignored(DNSTAP_TO);
    "Private key we show the receiver."
    "dnstap-tls-client-cert-file" Path, "", ignored(DNSTAP_TO);
    "Certificate we show the receiver."
    "dnstap-send-identity" YesNo, "no", ignored(DNSTAP_TO);
    "Say which server reports."
    "dnstap-send-version" YesNo, "no", ignored(DNSTAP_TO);
    "Say which version reports."
    "dnstap-identity" Text, "", ignored(DNSTAP_TO);
    "The server's name in reports; the host name by default."
    "dnstap-version" Text, "", ignored(DNSTAP_TO);
    "The version in reports; that of the package by default."
    "dnstap-sample-rate" Number(0, NO_MAX), "0", ignored(DNSTAP_TO);
    "Report one in so many messages; 0 for all."
    "dnstap-log-resolver-query-messages" YesNo, "no", ignored(DNSTAP_TO);
    "Report queries to authoritative servers."
    "dnstap-log-resolver-response-messages" YesNo, "no", ignored(DNSTAP_TO);
    "Report responses of authoritative servers."
    "dnstap-log-client-query-messages" YesNo, "no", ignored(DNSTAP_TO);
    "Report queries of clients."
    "dnstap-log-client-response-messages" YesNo, "no", ignored(DNSTAP_TO);
    "Report answers to clients."
    "dnstap-log-forwarder-query-messages" YesNo, "no", ignored(DNSTAP_TO);
    "Report queries to forwarders."
    "dnstap-log-forwarder-response-messages" YesNo, "no", ignored(DNSTAP_TO);
    "Report responses of forwarders."
};

pub(super) const DNSCRYPT: &[Directive] = rows! { Dnscrypt:
    "dnscrypt-enable" YesNo, "no", ignored(why::MODULE);
    "Serve DNSCrypt."
    "dnscrypt-port" Number(0, 65535), "443", ignored(why::MODULE);
    "Port of interfaces that serve DNSCrypt."
    "dnscrypt-provider" Text, "", ignored(why::MODULE);
    "Name that certificates are published under."
    "dnscrypt-secret-key" Path, "", ignored_list(why::MODULE);
    "Secret key."
    "dnscrypt-provider-cert" Path, "", ignored_list(why::MODULE);
    "Certificate of a secret key."
    "dnscrypt-provider-cert-rotated" Path, "", ignored_list(why::MODULE);
    "Certificate that is served without being published."
    "dnscrypt-shared-secret-cache-size" Size, "4194304", ignored(why::MODULE);
    "Bytes of the cache of shared secrets."
    "dnscrypt-shared-secret-cache-slabs" PowerOfTwo, "4", ignored(why::MODULE);
    "Parts of the cache of shared secrets."
    "dnscrypt-nonce-cache-size" Size, "4194304", ignored(why::MODULE);
    "Bytes of the cache of nonces."
    "dnscrypt-nonce-cache-slabs" PowerOfTwo, "4", ignored(why::MODULE);
    "Parts of the cache of nonces."
};

pub(super) const IPSET: &[Directive] = rows! { Ipset:
    "name-v4" Text, "", ignored(why::MODULE);
    "Kernel set that IPv4 addresses go to."
    "name-v6" Text, "", ignored(why::MODULE);
    "Kernel set that IPv6 addresses go to."
};

pub(super) const PYTHON: &[Directive] = rows! { Python:
    "python-script" Path, "", ignored_list(why::MODULE);
    "Script of the python module."
};

pub(super) const DYNLIB: &[Directive] = rows! { Dynlib:
    "dynlib-file" Path, "", ignored_list(why::MODULE);
    "Library of the dynlib module."
};
