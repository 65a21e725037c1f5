//! `server:` options of resolving, caching and validating.

use super::rows::rows;
use super::{Directive, why};
use crate::config::draft;
use crate::config::shape::NO_MAX;
use crate::config::shape::Shape::{
    Anchor, Date, FetchPolicy, Iterations, Modules, Name, Netblock, Number, Path, Size, YesNo,
};

const OUR_OWN_SELECTION: &str = "has no effect: servers are chosen by measured time";

pub(super) const SERVER: &[Directive] = rows! { Server:
    //--- Asking
    "module-config" Modules, "validator iterator", call(draft::module_config);
    "What processes a query, in order; without validator nothing is validated."
    "edns-buffer-size" Number(512, 65535), "1232", set(edns_buffer_size);
    "Bytes of the largest response over UDP that we ask for."
    "root-hints" Path, "", list(draft::root_hints);
    "File with the name servers of the root; they are built in."
    "target-fetch-policy" FetchPolicy, "3 2 1 0 0", ignored("has no effect: addresses of servers are looked up when they are needed");
    "Addresses of name servers looked up ahead, by depth; -1 for all, 0 for only when needed."
    "prefer-ip4" YesNo, "no", set(prefer_ip4);
    "Ask over IPv4 where a server has both."
    "prefer-ip6" YesNo, "no", set(prefer_ip6);
    "Ask over IPv6 where a server has both."
    "do-not-query-address" Netblock, "", push(do_not_query_address);
    "Addresses that are never asked."
    "do-not-query-localhost" YesNo, "yes", set(do_not_query_localhost);
    "Never ask 127.0.0.0/8 and ::1."
    "harden-glue" YesNo, "yes", set(harden_glue);
    "Use addresses from a referral only when the server is responsible for them."
    "harden-unverified-glue" YesNo, "no", set(harden_unverified_glue);
    "Look up addresses from a referral before using them."
    "harden-below-nxdomain" YesNo, "yes", set(harden_below_nxdomain);
    "Deny what lies below a name that securely does not exist (RFC 8020)."
    "harden-referral-path" YesNo, "no", ignored("has no effect: name servers are validated when a client asks for them");
    "Look up name servers and their addresses on the way down, so as to validate them."
    "harden-unknown-additional" YesNo, "no", ignored("has no effect: such records are always dropped", "yes");
    "Drop records from the authority and additional sections that are not needed."
    "iter-scrub-promiscuous" YesNo, "yes", set(iter_scrub_promiscuous);
    "Drop NS records that come unasked with a positive answer."
    "iter-scrub-ns" Number(0, NO_MAX), "20", set(iter_scrub_ns);
    "Name servers kept of an NS RRset."
    "iter-scrub-cname" Number(0, NO_MAX), "11", set(iter_scrub_cname);
    "Alias records kept of a response."
    "iter-scrub-rrsig" Number(0, NO_MAX), "8", set(iter_scrub_rrsig);
    "Signatures kept of an RRset."
    "use-caps-for-id" YesNo, "no", set(use_caps_for_id);
    "Spell questions in random letter case and insist on it in the response."
    "caps-exempt" Name, "", push(caps_exempt);
    "Name that is asked in plain case, with everything below."
    "qname-minimisation" YesNo, "yes", set(qname_minimisation);
    "Ask servers only as much of the name as they need (RFC 9156)."
    "qname-minimisation-strict" YesNo, "no", set(qname_minimisation_strict);
    "Never fall back to the full name."
    "private-address" Netblock, "", push(private_address);
    "Addresses that are removed from answers about public names."
    "private-domain" Name, "", push(private_domain);
    "Name that may have private addresses, with everything below."
    "unwanted-reply-threshold" Number(0, 1 << 48), "0", ignored("has no effect: replies to nobody do not get through the connected sockets of queries");
    "Replies nobody waits for after which the cache is emptied; 0 for never."
    "outbound-msg-retry" Number(0, NO_MAX), "5", set(outbound_msg_retry);
    "Times a query is sent to one server."
    "max-sent-count" Number(0, NO_MAX), "32", set(max_sent_count);
    "Queries sent for one question before it fails."
    "max-query-restarts" Number(0, NO_MAX), "11", set(max_query_restarts);
    "Aliases followed for one question before it fails."
    "max-global-quota" Number(0, NO_MAX), "48", set(max_global_quota);
    "Queries sent for one client query, with everything it needs; the budget may say less."
    "unknown-server-time-limit" Number(0, NO_MAX), "376", set(unknown_server_time_limit);
    "Milliseconds to wait for a server nothing is known about."
    "fast-server-permil" Number(0, 1000), "0", set(fast_server_permil);
    "Of 1000 queries, how many go to one of the fastest servers."
    "fast-server-num" Number(0, NO_MAX), "3", set(fast_server_num);
    "How many servers count as fastest."
    "low-rtt" Number(0, NO_MAX), "45", ignored(OUR_OWN_SELECTION);
    "Milliseconds below which a server was fast; no longer used."
    "disable-edns-do" YesNo, "no", set(disable_edns_do);
    "Ask without the DO bit, so that responses carry no DNSSEC records."

    //--- Caching
    "msg-cache-size" Size, "4194304", set(msg_cache_size);
    "Bytes of the cache of answers."
    "rrset-cache-size" Size, "4194304", set(rrset_cache_size);
    "Bytes of the cache of RRsets."
    "key-cache-size" Size, "4194304", set(key_cache_size);
    "Bytes of the cache of keys."
    "neg-cache-size" Size, "1048576", set(neg_cache_size);
    "Bytes of the cache of proofs that names do not exist, for aggressive-nsec."
    "infra-cache-numhosts" Number(1, NO_MAX), "10000", set(infra_cache_numhosts);
    "Servers whose behavior is remembered."
    "infra-host-ttl" Number(0, NO_MAX), "900", set(infra_host_ttl);
    "Seconds the behavior of a server is remembered."
    "infra-lame-ttl" Number(0, NO_MAX), "900", ignored(why::NO_EFFECT_THERE);
    "Seconds lameness was remembered; no longer used."
    "infra-cache-lame-size" Size, "0", ignored(why::NO_EFFECT_THERE);
    "Bytes of the cache of lameness; no longer used."
    "infra-cache-min-rtt" Number(0, NO_MAX), "50", set(infra_cache_min_rtt);
    "Milliseconds, the least that a server is waited for."
    "infra-cache-max-rtt" Number(0, NO_MAX), "120000", set(infra_cache_max_rtt);
    "Milliseconds, the most that a server is waited for."
    "infra-keep-probing" YesNo, "no", ignored("has no effect: servers that are down are tried when there is no other", "yes");
    "Keep trying servers that are down."
    "cache-max-ttl" Number(0, NO_MAX), "86400", set(cache_max_ttl);
    "Seconds, cap of TTLs."
    "cache-min-ttl" Number(0, NO_MAX), "0", set(cache_min_ttl);
    "Seconds, floor of TTLs."
    "cache-max-negative-ttl" Number(0, NO_MAX), "3600", set(cache_max_negative_ttl);
    "Seconds, cap of the TTL of denials (RFC 2308 §5)."
    "cache-min-negative-ttl" Number(0, NO_MAX), "0", set(cache_min_negative_ttl);
    "Seconds, floor of the TTL of denials."
    "prefetch" YesNo, "no", set(prefetch);
    "Refresh popular answers before they expire."
    "prefetch-key" YesNo, "no", ignored("has no effect: keys are fetched when an answer is validated");
    "Fetch DNSKEY records as soon as a DS record is seen."
    "serve-expired" YesNo, "no", set(serve_expired);
    "Answer with expired data when there is nothing better (RFC 8767)."
    "serve-expired-ttl" Number(0, NO_MAX), "86400", set(serve_expired_ttl);
    "Seconds that data may be expired; 0 for any time."
    "serve-expired-ttl-reset" YesNo, "no", set(serve_expired_ttl_reset);
    "Count that time from the last try to refresh."
    "serve-expired-reply-ttl" Number(0, NO_MAX), "30", set(serve_expired_reply_ttl);
    "Seconds, TTL of expired data in answers."
    "serve-expired-client-timeout" Number(0, NO_MAX), "1800", set(serve_expired_client_timeout);
    "Milliseconds a client waits for fresh data before it gets expired data; 0 for none."
    "serve-original-ttl" YesNo, "no", set(serve_original_ttl);
    "Answer with TTLs as the zone has them, without counting down."
    "aggressive-nsec" YesNo, "yes", set(aggressive_nsec);
    "Deny names and types and expand wildcards by proofs known already, without asking (RFC 8198)."

    //--- Validating
    "trust-anchor" Anchor, "", list(draft::trust_anchor);
    "DS or DNSKEY record that is trusted."
    "trust-anchor-file" Path, "", list(draft::trust_anchor_file);
    "Zone file with DS and DNSKEY records that are trusted."
    "trusted-keys-file" Path, "", list(draft::trusted_keys_file);
    "File with trusted-keys as in named.conf; may be a pattern."
    "auto-trust-anchor-file" Path, "", list(draft::auto_trust_anchor_file);
    "File with the keys of a zone, kept up to date as the zone changes them (RFC 5011)."
    "trust-anchor-signaling" YesNo, "no", ignored(why::NOT_YET);
    "Tell the root which keys are trusted (RFC 8145)."
    "root-key-sentinel" YesNo, "no", ignored(why::NOT_YET);
    "Answer questions about which keys of the root are trusted (RFC 8509)."
    "domain-insecure" Name, "", push(domain_insecure);
    "Name that is not validated, with everything below."
    "dlv-anchor-file" Path, "", ignored(why::NO_EFFECT_THERE);
    "File with anchors of a look-aside zone; look-aside is over (RFC 8749)."
    "dlv-anchor" Anchor, "", ignored_list(why::NO_EFFECT_THERE);
    "Anchor of a look-aside zone; look-aside is over (RFC 8749)."
    "val-override-date" Date, "", set(val_override_date);
    "Date that signatures are checked against instead of today; -1 to accept any."
    "val-sig-skew-min" Number(0, NO_MAX), "3600", set(val_sig_skew_min);
    "Seconds, least allowance for a clock that differs."
    "val-sig-skew-max" Number(0, NO_MAX), "86400", set(val_sig_skew_max);
    "Seconds, greatest allowance for a clock that differs."
    "val-bogus-ttl" Number(0, NO_MAX), "60", set(val_bogus_ttl);
    "Seconds bogus data is remembered."
    "val-max-restart" Number(0, NO_MAX), "5", set(val_max_restart);
    "Times a bogus answer is asked for again at another server."
    "val-clean-additional" YesNo, "yes", set(val_clean_additional);
    "Remove unsigned records from the additional section of secure answers."
    "val-log-level" Number(0, 2), "0", set(val_log_level);
    "Log failures of validation: not (0), in a line (1), with the reason (2)."
    "val-permissive-mode" YesNo, "no", set(val_permissive_mode);
    "Give bogus answers to clients, without the AD bit."
    "val-nsec3-keysize-iterations" Iterations, "1024 150 2048 150 4096 150", set(val_nsec3_keysize_iterations);
    "Most NSEC3 iterations that are validated, by size of the key; more makes a zone insecure."
    "ignore-cd-flag" YesNo, "no", set(ignore_cd_flag);
    "Validate although the client set the CD bit."
    "harden-dnssec-stripped" YesNo, "yes", set(harden_dnssec_stripped);
    "A zone with a trust anchor whose responses come without signatures is bogus."
    "harden-algo-downgrade" YesNo, "no", set(harden_algo_downgrade);
    "Insist on a signature by every algorithm of the DS records."
    "val-accept-sha1" YesNo, "yes", set(val_accept_sha1);
    "Verify and believe RSA/SHA-1 signatures and SHA-1 DS records; no makes zones that have nothing better insecure (RFC 9905). Not in Unbound."
    "disable-dnssec-lame-check" YesNo, "no", set(disable_dnssec_lame_check);
    "Do not ask another server when signatures are missing."
    "add-holddown" Number(0, NO_MAX), "2592000", set(add_holddown);
    "Seconds a new key has to be seen before it is trusted (RFC 5011)."
    "del-holddown" Number(0, NO_MAX), "2592000", set(del_holddown);
    "Seconds a revoked key stays in the file."
    "keep-missing" Number(0, NO_MAX), "31622400", set(keep_missing);
    "Seconds a missing key stays in the file; 0 for ever."
    "permit-small-holddown" YesNo, "no", set(permit_small_holddown);
    "For tests: allow hold-down times below an hour."
    "fake-dsa" YesNo, "no", call(draft::fake_dsa);
    "For tests: take DSA signatures for good, unseen. Refused by what is not built with the feature fake-sha1."
    "fake-sha1" YesNo, "no", call(draft::fake_sha1);
    "For tests: take RSA/SHA-1 and DSA signatures and SHA-1 digests for good, unseen. Refused by what is not built with the feature fake-sha1."
    "zonemd-permissive-mode" YesNo, "no", set(zonemd_permissive_mode);
    "Only log when the digest of a zone does not verify."
};
