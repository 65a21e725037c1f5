//! Options of zones and views.

use super::clients::{LOCAL_ZONE, RESPONSE_IP};
use super::rows::rows;
use super::{Directive, Shape};
use crate::config::policy::RpzOverride;
use crate::config::shape::NO_MAX;
use crate::config::shape::Shape::{
    Host, Name, Netblock, Number, OneOf, Pair, Path, PtrRecord, Record, Server, Size, Text, YesNo,
};
use crate::config::shape::spellings;
use crate::config::{auth, draft};

pub(super) const FORWARD: &[Directive] = rows! { ForwardZone:
    "name" Name, "", call(draft::forward_name);
    "Name that is forwarded, with everything below."
    "forward-addr" Server, "", list(draft::forward_addr);
    "Address of a resolver, with @PORT and #NAME or without."
    "forward-host" Host, "", list(draft::forward_host);
    "Name of a resolver, with @PORT and #NAME or without."
    "forward-first" YesNo, "no", forward(first);
    "When the resolvers fail, resolve as if the clause were not there."
    "forward-tls-upstream" YesNo, "no", forward(tls);
    "Ask the resolvers over TLS."
    "forward-tcp-upstream" YesNo, "no", forward(tcp);
    "Ask the resolvers over TCP only."
    "forward-no-cache" YesNo, "no", forward(no_cache);
    "Do not store what comes from the resolvers."
};

pub(super) const STUB: &[Directive] = rows! { StubZone:
    "name" Name, "", call(draft::stub_name);
    "Name whose servers are given here, with everything below."
    "stub-addr" Server, "", list(draft::stub_addr);
    "Address of an authoritative server, with @PORT and #NAME or without."
    "stub-host" Host, "", list(draft::stub_host);
    "Name of an authoritative server, with @PORT and #NAME or without."
    "stub-first" YesNo, "no", stub(first);
    "When the servers fail, resolve as if the clause were not there."
    "stub-prime" YesNo, "no", stub(prime);
    "Ask the servers for the NS records of the zone first and use those."
    "stub-tls-upstream" YesNo, "no", stub(tls);
    "Ask the servers over TLS."
    "stub-tcp-upstream" YesNo, "no", stub(tcp);
    "Ask the servers over TCP only."
    "stub-no-cache" YesNo, "no", stub(no_cache);
    "Do not store what comes from the servers."
};

const PRIMARY_TLS: &str = "has no effect with '#NAME': such servers are left out, since a zone does not travel over TLS yet";

const URL: &str = "has no effect, since zones are not downloaded over HTTP: give the zone by 'zonefile:' \
                   or 'primary:'";

pub(super) const AUTH: &[Directive] = rows! { AuthZone:
    "name" Name, "", call(auth::name);
    "Name of the zone that is kept as a copy."
    "primary" Text, "", partly_list(auth::primary, PRIMARY_TLS);
    "Server that the zone is transferred from."
    "url" Text, "", ignored_list(URL);
    "Where the zone is downloaded from."
    "allow-notify" Text, "", list(auth::allow_notify);
    "Who may announce that the zone has changed."
    "for-downstream" YesNo, "yes", copy(for_downstream);
    "Answer clients from the zone."
    "for-upstream" YesNo, "yes", copy(for_upstream);
    "Use the zone instead of asking its servers."
    "fallback-enabled" YesNo, "no", copy(fallback_enabled);
    "Ask the servers of the zone when the copy is of no use."
    "zonemd-check" YesNo, "no", copy(zonemd_check);
    "Verify the digest of the zone (RFC 8976)."
    "zonemd-reject-absence" YesNo, "no", copy(zonemd_reject_absence);
    "Reject a zone without a digest."
    "zonefile" Path, "", copy(zonefile);
    "File that the zone is read from and written to."
    "max-transfer-size" Size, "0", copy(max_transfer_size);
    "Bytes of the largest zone that is transferred; 0 for any size."
    "max-transfer-time" Number(0, NO_MAX), "0", copy(max_transfer_time);
    "Milliseconds of the longest transfer; 0 for any time."
};

const RPZ_ACTIONS: Shape =
    OneOf(&spellings::<_, { RpzOverride::SPELLINGS.len() }>(RpzOverride::SPELLINGS));

pub(super) const RPZ: &[Directive] = rows! { Rpz:
    "name" Name, "", call(draft::rpz_name);
    "Name of the zone that holds the policy."
    "primary" Text, "", partly_list(auth::primary, PRIMARY_TLS);
    "Server that the zone is transferred from."
    "url" Text, "", ignored_list(URL);
    "Where the zone is downloaded from."
    "allow-notify" Text, "", list(auth::allow_notify);
    "Who may announce that the zone has changed."
    "zonefile" Path, "", copy(zonefile);
    "File that the zone is read from and written to."
    "max-transfer-size" Size, "0", copy(max_transfer_size);
    "Bytes of the largest zone that is transferred; 0 for any size."
    "max-transfer-time" Number(0, NO_MAX), "0", copy(max_transfer_time);
    "Milliseconds of the longest transfer; 0 for any time."
    "rpz-action-override" RPZ_ACTIONS, "", clause(RpzAction);
    "Action that replaces those in the zone."
    "rpz-cname-override" Name, "", clause(RpzCname);
    "Target of the action cname."
    "rpz-log" YesNo, "no", clause(RpzLog);
    "Log when the policy applies."
    "rpz-log-name" Text, "", clause(RpzLogName);
    "Name of the policy in the log."
    "rpz-signal-nxdomain-ra" YesNo, "no", clause(RpzSignal);
    "Clear the RA bit in answers that the policy denies."
    "for-downstream" YesNo, "no", copy(for_downstream);
    "Let clients ask for the zone itself."
    "tags" Text, "", clause(RpzTags);
    "Tags of clients that the policy applies to."
};

pub(super) const VIEW: &[Directive] = rows! { View:
    "name" Text, "", clause(ClauseName);
    "Name of the view."
    "local-zone" LOCAL_ZONE, "", clauses(ViewZone);
    "Name that is answered here with everything below, and how."
    "local-data" Record, "", clauses(ViewData);
    "Record of a local zone of the view."
    "local-data-ptr" PtrRecord, "", clauses(ViewDataPtr);
    "Address and name for a PTR record of a local zone of the view."
    "view-first" YesNo, "no", clause(ViewFirst);
    "Look outside of the view for what is not in it."
    "response-ip" RESPONSE_IP, "", clauses(ResponseIp);
    "What happens to answers with an address of a netblock."
    "response-ip-data" Pair(&Netblock, &Text), "", clauses(ResponseIpData);
    "Record that replaces addresses of a netblock in answers."
};
