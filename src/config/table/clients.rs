//! `server:` options of clients: who may ask, what is answered here, how often.

use super::listen::ACCESS;
use super::rows::rows;
use super::{Directive, Shape, why};
use crate::config::draft;
use crate::config::shape::NO_MAX;
use crate::config::shape::Shape::{
    Hex, Interface, Name, Netblock, Nsid, Number, OneOf, Pair, Path, PtrRecord, Record, Size, Text,
    Triple, YesNo,
};
use crate::config::shape::spellings;
use crate::config::values::Ede;
use crate::config::zone::LocalZoneKind;

/// Types of local zones.
const ZONE_KINDS: Shape =
    OneOf(&spellings::<_, { LocalZoneKind::SPELLINGS.len() }>(LocalZoneKind::SPELLINGS));

/// What Extended DNS Errors tell.
const EDE: Shape = OneOf(&spellings::<_, { Ede::SPELLINGS.len() }>(Ede::SPELLINGS));

/// A zone and its type.
pub(super) const LOCAL_ZONE: Shape = Pair(&Name, &ZONE_KINDS);

/// A netblock and what happens to answers with one of its addresses. Types of zones that depend on
/// which names have data are left out: an address has none.
pub(super) const RESPONSE_IP: Shape = Pair(
    &Netblock,
    &OneOf(&[
        "redirect",
        "deny",
        "inform",
        "inform_deny",
        "inform_redirect",
        "always_transparent",
        "always_refuse",
        "always_nxdomain",
        "always_nodata",
        "always_deny",
        "truncate",
    ]),
);

pub(super) const SERVER: &[Directive] = rows! { Server:
    //--- Who may ask
    "access-control" Pair(&Netblock, &ACCESS), "", list(draft::access_control);
    "What clients of a netblock may do; the most specific netblock counts."
    "access-control-tag" Pair(&Netblock, &Text), "", rules(AccessTag);
    "Tags of the clients of a netblock."
    "access-control-tag-action" Triple(&Netblock, &Text, &ZONE_KINDS), "", rules(AccessTagAction);
    "Type of local zones with a tag, for clients of a netblock."
    "access-control-tag-data" Triple(&Netblock, &Text, &Text), "", rules(AccessTagData);
    "Data of local zones with a tag, for clients of a netblock."
    "access-control-view" Pair(&Netblock, &Text), "", rules(AccessView);
    "View that clients of a netblock see."
    "interface-action" Pair(&Interface, &ACCESS), "", rules(InterfaceAction);
    "What clients that come by an interface may do."
    "interface-tag" Pair(&Interface, &Text), "", rules(InterfaceTag);
    "Tags of the clients that come by an interface."
    "interface-tag-action" Triple(&Interface, &Text, &ZONE_KINDS), "", rules(InterfaceTagAction);
    "Type of local zones with a tag, for clients that come by an interface."
    "interface-tag-data" Triple(&Interface, &Text, &Text), "", rules(InterfaceTagData);
    "Data of local zones with a tag, for clients that come by an interface."
    "interface-view" Pair(&Interface, &Text), "", rules(InterfaceView);
    "View that clients see who come by an interface."
    "define-tag" Text, "", rules(DefineTag);
    "Names of tags."

    //--- What is answered here
    "local-zone" LOCAL_ZONE, "", list(draft::local_zone);
    "Name that is answered here with everything below, and how."
    "local-data" Record, "", list(draft::local_data);
    "Record of a local zone."
    "local-data-ptr" PtrRecord, "", list(draft::local_data_ptr);
    "Address and name for a PTR record of a local zone."
    "local-zone-tag" Pair(&Name, &Text), "", rules(ZoneTag);
    "Tags of a local zone."
    "local-zone-override" Triple(&Name, &Netblock, &ZONE_KINDS), "", rules(ZoneOverride);
    "Type of a local zone for the clients of a netblock."
    "unblock-lan-zones" YesNo, "no", set(unblock_lan_zones);
    "Resolve the reverse zones of private addresses instead of denying them."
    "insecure-lan-zones" YesNo, "no", set(insecure_lan_zones);
    "Do not validate in the reverse zones of private addresses."
    "response-ip" RESPONSE_IP, "", rules(ResponseIp);
    "What happens to answers with an address of a netblock."
    "response-ip-data" Pair(&Netblock, &Text), "", rules(ResponseIpData);
    "Record that replaces addresses of a netblock in answers."
    "response-ip-tag" Pair(&Netblock, &Text), "", rules(ResponseIpTag);
    "Tags of answers with an address of a netblock."
    "hide-identity" YesNo, "no", set(hide_identity);
    "Refuse id.server and hostname.bind."
    "identity" Text, "", set(identity);
    "What those say; the host name by default."
    "hide-version" YesNo, "no", set(hide_version);
    "Refuse version.server and version.bind."
    "version" Text, "", set(version);
    "What those say; name and version of the package by default."
    "hide-trustanchor" YesNo, "no", set(hide_trustanchor);
    "Refuse trustanchor.unbound."
    "nsid" Nsid, "", set(nsid);
    "Identifier for clients that ask for it by EDNS (RFC 5001)."

    //--- Answers
    "max-udp-size" Number(512, 65536), "1232", set(max_udp_size);
    "Bytes of the largest answer over UDP."
    "harden-short-bufsize" YesNo, "yes", ignored(why::ALWAYS);
    "Take EDNS sizes below 512 for 512."
    "harden-large-queries" YesNo, "no", set(harden_large_queries);
    "Drop queries that are too large to be ordinary ones."
    "minimal-responses" YesNo, "yes", set(minimal_responses);
    "Leave out of answers what the question does not need."
    "deny-any" YesNo, "no", set(deny_any);
    "Answer questions of type ANY with next to nothing (RFC 8482)."
    "rrset-roundrobin" YesNo, "yes", set(rrset_roundrobin);
    "Rotate the records of an RRset from answer to answer."
    "ede" EDE, "no", set(ede);
    "Say what went wrong by Extended DNS Errors (RFC 8914); yes: and what is odd about answers. Without a configuration file, and in the one that comes with the package: failures."
    "ede-serve-expired" YesNo, "no", set(ede_serve_expired);
    "Add Extended DNS Error 3 to expired answers."
    "answer-cookie" YesNo, "no", set(answer_cookie);
    "Give clients DNS cookies (RFC 7873)."
    "cookie-secret" Hex(32), "", call(draft::cookie_secret);
    "Secret that DNS cookies are made with."
    "cookie-secret-file" Path, "", set(cookie_secret_file);
    "File with the secrets that DNS cookies are made with."

    //--- How much
    "num-queries-per-thread" Number(1, 10_000_000), "2048", set(num_queries_per_thread);
    "Questions of clients in flight, per thread, however many clients wait for each."
    "jostle-timeout" Number(0, NO_MAX), "200", set(jostle_timeout);
    "Milliseconds after which a query can lose its place when all are taken."
    "discard-timeout" Number(0, NO_MAX), "1900", ignored(why::DEADLINE);
    "Milliseconds after which a UDP client no longer gets an answer; 0 for never."
    "wait-limit" Number(0, NO_MAX), "1000", set(wait_limit);
    "Queries a client address may have waiting; 0 for any number."
    "wait-limit-cookie" Number(0, NO_MAX), "10000", set(wait_limit_cookie);
    "Queries a client with a valid cookie may have waiting; 0 for any number."
    "wait-limit-netblock" Pair(&Netblock, &Number(-1, NO_MAX)), "", list(draft::wait_limit_netblock);
    "wait-limit for the addresses of a netblock; -1 for any number."
    "wait-limit-cookie-netblock" Pair(&Netblock, &Number(-1, NO_MAX)), "", list(draft::wait_limit_cookie_netblock);
    "wait-limit-cookie for the addresses of a netblock; -1 for any number."
    "ip-ratelimit" Number(0, NO_MAX), "0", set(ip_ratelimit);
    "Queries per second of a client address; 0 for any number."
    "ip-ratelimit-cookie" Number(0, NO_MAX), "0", set(ip_ratelimit_cookie);
    "Queries per second of a client with a valid cookie; 0 for any number."
    "ip-ratelimit-size" Size, "4194304", set(ip_ratelimit_size);
    "Bytes of the table of client rates."
    "ip-ratelimit-factor" Number(0, NO_MAX), "10", set(ip_ratelimit_factor);
    "One in so many queries above the limit gets through; 0 for none."
    "ip-ratelimit-backoff" YesNo, "no", set(ip_ratelimit_backoff);
    "Count queries above the limit, so that it holds until the client slows down."
    "ratelimit" Number(0, NO_MAX), "0", set(ratelimit);
    "Queries per second to the servers of a zone; 0 for any number."
    "ratelimit-size" Size, "4194304", set(ratelimit_size);
    "Bytes of the table of zone rates."
    "ratelimit-factor" Number(0, NO_MAX), "10", set(ratelimit_factor);
    "One in so many queries above the limit gets through; 0 for none."
    "ratelimit-backoff" YesNo, "no", set(ratelimit_backoff);
    "Count queries above the limit, so that it holds until demand sinks."
    "ratelimit-for-domain" Pair(&Name, &Number(0, NO_MAX)), "", push(ratelimit_for_domain);
    "ratelimit of one zone."
    "ratelimit-below-domain" Pair(&Name, &Number(0, NO_MAX)), "", push(ratelimit_below_domain);
    "ratelimit of zones below a name."
};
