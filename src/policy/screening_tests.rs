//! What becomes of answers: every trigger with every action and every override.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config;
use crate::wire::{Record, group_rrsets};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 99));

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A configuration, clients of everywhere allowed.
fn config(text: &str) -> Config {
    let text = format!("server:\n access-control: 0.0.0.0/0 allow\n{text}");
    config::load_text(Path::new("test.conf"), text).unwrap().config
}

fn records(lines: &[&str]) -> Vec<Record> {
    let lines: String = lines.iter().map(|line| format!(" local-data: '{line}'\n")).collect();
    config(&lines).local_data
}

/// A policy with zones that hold those records.
fn policy(text: &str, zones: &[(&str, &[&str])]) -> Arc<Policy> {
    let policy = Policy::new(&config(text), "host");
    for (zone, lines) in zones {
        let soa = format!("{zone} SOA a. b. 1 2 3 4 5");
        let lines: Vec<&str> = std::iter::once(soa.as_str()).chain(lines.iter().copied()).collect();
        assert!(policy.load_policy_zone(&name(zone), group_rrsets(&records(&lines)).iter()));
    }
    Arc::new(policy)
}

/// What servers say, by name: the addresses, or the alias.
const WORLD: &[&str] = &[
    "www.example. A 192.0.2.1",
    "alias.example. A 192.0.2.2",
    "first.example. CNAME www.example.",
    "chain.example. CNAME first.example.",
];

/// The servers of every name.
const SERVER: &str = "ns1.example.";
const SERVER_IP: &str = "198.51.100.1";

/// What the client gets for a question of type A, in words.
fn ask(policy: &Arc<Policy>, qname: &str, stream: bool) -> String {
    let qname = name(qname);
    let question = Question::new(qname.clone(), RecordType::A);
    let asked = Asked {
        name_wire: qname.as_wire(),
        rtype: question.rtype,
        class: question.class,
        recursion_desired: true,
        stream,
        cookie: None,
    };
    let client = policy.client(CLIENT, None);
    let (alias, lens) = match policy.decide(&asked, client, CLIENT) {
        Decision::Resolve(None) => return "plain".to_owned(),
        Decision::Resolve(Some(lens)) => (None, lens),
        Decision::Alias(alias) => (Some(alias), policy.lens(client, &asked).unwrap()),
        Decision::Local(mut answer) => {
            answer.manner.authoritative = true;
            return show(&answer);
        }
        Decision::Drop => return "drop".to_owned(),
        Decision::Truncate => return "tc aa".to_owned(),
        other => return format!("{other:?}"),
    };
    let mut screening = Screening::new(question.clone(), alias.as_deref(), lens);
    let mut step = screening.start(policy);
    let mut last = None;
    loop {
        step = match step {
            Step::Unchanged => return show(&last.unwrap()),
            Step::Done(answer) => return show(&answer),
            Step::Need(link) => {
                let question = Question { name: link.name.clone(), ..question.clone() };
                let ips = [SERVER_IP.parse().unwrap()];
                let servers = [name(SERVER)];
                match policy.at_servers(lens, &question, &servers, &ips).filter(|_| link.guarded) {
                    Some(hit) => screening.barred(policy, &hit),
                    None => {
                        let answer = resolve(&question);
                        let step = screening.resolved(policy, &answer);
                        last = Some(answer);
                        step
                    }
                }
            }
        };
    }
}

fn resolve(question: &Question) -> Answer {
    let mut answer = Answer::empty(question.clone(), Rcode::NOERROR);
    answer.status = SecurityStatus::Secure;
    answer.answer = group_rrsets(&records(WORLD));
    answer.answer.retain(|rrset| rrset.owner == question.name);
    if answer.answer.is_empty() {
        answer.rcode = Rcode::NXDOMAIN;
    }
    answer
}

/// Records, response code, flags.
fn show(answer: &Answer) -> String {
    let mut words: Vec<String> = answer
        .answer
        .iter()
        .map(|rrset| match rrset.alias_target() {
            Some(target) => format!("{target}"),
            None => format!("{:?}", rrset.rdata[0]),
        })
        .collect();
    let manner = answer.manner;
    if manner.dropped || manner.truncated {
        words = vec![if manner.dropped { "drop" } else { "tc" }.to_owned()];
    } else if answer.rcode != Rcode::NOERROR || words.is_empty() {
        words.push(answer.rcode.to_string());
    }
    words.extend(manner.authoritative.then(|| "aa".to_owned()));
    words.extend(manner.hides_recursion.then(|| "-ra".to_owned()));
    let proven = answer.status == SecurityStatus::Secure;
    words.extend(proven.then(|| "ad".to_owned()));
    words.join(" ")
}

const TRIGGERS: &[&str] = &[
    "24.0.2.0.192.rpz-client-ip",
    "www.example",
    "32.1.2.0.192.rpz-ip",
    "ns1.example.rpz-nsdname",
    "32.1.100.51.198.rpz-nsip",
];

/// Whether an answer has AA, by trigger: where the query was answered at once, or the end of the
/// chain is the policy's; never for addresses that are replaced in somebody else's answer.
fn is_ours(trigger: &str, action: &str) -> bool {
    match trigger {
        _ if matches!(action, "pass" | "drop") => false,
        trigger if trigger.ends_with("rpz-ip") => false,
        trigger if trigger.contains("rpz-ns") => !matches!(action, "cname" | "tc"),
        _ => true,
    }
}

/// What an action makes of the answer.
fn outcome(trigger: &str, action: &str) -> String {
    let words = match action {
        "nxdomain" => "NXDOMAIN",
        "nodata" => "NOERROR",
        "pass" => return "192.0.2.1 ad".to_owned(),
        "drop" => "drop",
        "tc" => "tc",
        "data" => "203.0.113.9",
        "cname" => "alias.example. 192.0.2.2",
        other => panic!("{other}"),
    };
    if is_ours(trigger, action) { format!("{words} aa") } else { words.to_owned() }
}

#[test]
fn every_trigger_with_every_action() {
    let actions = [
        ("CNAME .", "nxdomain"),
        ("CNAME *.", "nodata"),
        ("CNAME rpz-passthru.", "pass"),
        ("CNAME RPZ-drop.", "drop"),
        ("CNAME rpz-tcp-only.", "tc"),
        ("A 203.0.113.9", "data"),
        ("CNAME alias.example.", "cname"),
        // No action, or one nobody knows: as if it were not there.
        ("CNAME rpz-future.", "pass"),
        ("AAAA 2001:db8::1", "nodata"),
    ];
    for trigger in TRIGGERS {
        for (data, action) in actions {
            let entry = format!("{trigger}.rpz. {data}");
            let policy = policy("rpz:\n name: rpz.\n", &[("rpz.", &[&entry])]);
            // What an alias leads to has the same servers here, so that it would go round.
            if action != "cname" || !trigger.contains("rpz-ns") {
                let got = ask(&policy, "www.example.", false);
                assert_eq!(got, outcome(trigger, action), "{entry}");
            }
            if action == "tc" {
                assert_eq!(ask(&policy, "www.example.", true), "192.0.2.1 ad", "{entry} by TCP");
            }
        }
    }
}

#[test]
fn every_trigger_with_every_override() {
    let overrides = [
        ("nxdomain", "nxdomain"),
        ("nodata", "nodata"),
        ("passthru", "pass"),
        ("drop", "drop"),
        ("tcp-only", "tc"),
        ("disabled", "pass"),
    ];
    for trigger in TRIGGERS {
        for (action, meant) in overrides {
            let entry = format!("{trigger}.rpz. A 203.0.113.9");
            let text = format!("rpz:\n name: rpz.\n rpz-action-override: {action}\n");
            let policy = policy(&text, &[("rpz.", &[&entry])]);
            assert_eq!(
                ask(&policy, "www.example.", false),
                outcome(trigger, meant),
                "{entry} {action}"
            );
        }
    }
    let text =
        "rpz:\n name: rpz.\n rpz-action-override: cname\n rpz-cname-override: alias.example.\n";
    for trigger in &TRIGGERS[..3] {
        let entry = format!("{trigger}.rpz. CNAME .");
        let policy = policy(text, &[("rpz.", &[&entry])]);
        assert_eq!(ask(&policy, "www.example.", false), outcome(trigger, "cname"), "{entry}");
    }
}

#[test]
fn the_first_zone_decides_and_in_a_zone_the_client_before_the_name() {
    let zones = "rpz:\n name: one.\nrpz:\n name: two.\n";
    let client = "24.0.2.0.192.rpz-client-ip";
    #[rustfmt::skip]
    let cases: [(&[&str], &[&str], &str); 6] = [
        (&["www.example.one. A 203.0.113.1"],  &["www.example.two. A 203.0.113.2"],  "203.0.113.1 aa"),
        (&["*.example.one. A 203.0.113.1"],    &["www.example.two. A 203.0.113.2"],  "203.0.113.1 aa"),
        (&["www.example.one. A 203.0.113.1", "CLIENT.one. CNAME ."], &[],            "NXDOMAIN aa"),
        (&["www.example.one. A 203.0.113.1"],  &["CLIENT.two. CNAME ."],             "203.0.113.1 aa"),
        (&["www.example.one. CNAME rpz-passthru."], &["32.1.2.0.192.rpz-ip.two. CNAME ."], "192.0.2.1 ad"),
        (&["ns1.example.rpz-nsdname.one. CNAME .", "32.1.100.51.198.rpz-nsip.one. CNAME *."], &[], "NXDOMAIN aa"),
    ];
    for (one, two, want) in cases {
        let with = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| line.replace("CLIENT", client)).collect()
        };
        let (one, two) = (with(one), with(two));
        let one: Vec<&str> = one.iter().map(String::as_str).collect();
        let two: Vec<&str> = two.iter().map(String::as_str).collect();
        let policy = policy(zones, &[("one.", &one), ("two.", &two)]);
        assert_eq!(ask(&policy, "www.example.", false), want, "{one:?} {two:?}");
    }
}

#[test]
fn entries_apply_along_a_chain_of_aliases() {
    let zone = "rpz:\n name: rpz.\n rpz-signal-nxdomain-ra: yes\n";
    #[rustfmt::skip]
    let cases: [(&[&str], &str); 6] = [
        (&["www.example.rpz. CNAME ."],       "first.example. www.example. NXDOMAIN aa -ra"),
        (&["first.example.rpz. A 203.0.113.9"], "first.example. 203.0.113.9 aa"),
        (&["first.example.rpz. CNAME *.test.", "first.example.test.rpz. A 203.0.113.9"],
            "first.example. first.example.test. 203.0.113.9 aa"),
        (&["first.example.rpz. CNAME alias.example."], "first.example. alias.example. 192.0.2.2"),
        (&["32.1.2.0.192.rpz-ip.rpz. CNAME ."], "first.example. www.example. NXDOMAIN -ra"),
        (&["first.example.rpz. CNAME rpz-passthru.", "www.example.rpz. CNAME ."],
            "first.example. www.example. 192.0.2.1 ad"),
    ];
    for (entries, want) in cases {
        let policy = policy(zone, &[("rpz.", entries)]);
        assert_eq!(ask(&policy, "chain.example.", false), want, "{entries:?}");
    }
    let circle = policy(zone, &[("rpz.", &["a.rpz. CNAME b.", "b.rpz. CNAME a."])]);
    assert_eq!(ask(&circle, "a.", false), "SERVFAIL");
}

#[test]
fn zones_with_tags_are_for_clients_with_one_of_them() {
    for (tags, want) in [("one", "NXDOMAIN aa"), ("two", "plain"), ("two one", "NXDOMAIN aa")] {
        let text = format!(
            " define-tag: \"one two\"\n access-control-tag: 192.0.2.0/24 \"{tags}\"\n\
             rpz:\n name: rpz.\n tags: \"one\"\n"
        );
        let policy = policy(&text, &[("rpz.", &["www.example.rpz. CNAME ."])]);
        assert_eq!(ask(&policy, "www.example.", false), want, "{tags}");
    }
}

#[test]
fn an_operator_turns_zones_off_and_on() {
    let policy = policy("rpz:\n name: rpz.\n", &[("rpz.", &["www.example.rpz. CNAME ."])]);
    for (enabled, want) in [(false, "plain"), (true, "NXDOMAIN aa")] {
        assert!(policy.enable_policy_zone(&name("rpz."), enabled));
        assert_eq!(ask(&policy, "www.example.", false), want);
    }
    assert!(!policy.enable_policy_zone(&name("other."), false));
}

#[test]
fn response_ip_acts_on_addresses() {
    #[rustfmt::skip]
    let cases = [
        ("redirect",           "",                        "NOERROR"),
        ("redirect",           "A 203.0.113.9",           "203.0.113.9"),
        ("redirect",           "CNAME alias.example.",    "alias.example. 192.0.2.2"),
        ("redirect",           "CNAME chain.example.",    "SERVFAIL"),
        ("inform",             "",                        "192.0.2.1 ad"),
        ("inform",             "A 203.0.113.9",           "203.0.113.9"),
        ("deny",               "",                        "drop"),
        ("inform_deny",        "",                        "drop"),
        ("deny",               "A 203.0.113.9",           "203.0.113.9"),
        ("always_deny",        "A 203.0.113.9",           "drop"),
        ("inform_redirect",    "",                        "NOERROR"),
        ("always_refuse",      "A 203.0.113.9",           "REFUSED"),
        ("always_nxdomain",    "A 203.0.113.9",           "NXDOMAIN"),
        ("always_nodata",      "A 203.0.113.9",           "NOERROR"),
        ("always_transparent", "A 203.0.113.9",           "192.0.2.1 ad"),
        ("truncate",           "",                        "tc"),
    ];
    for (action, data, want) in cases {
        let mut text = format!(" response-ip: 192.0.2.1 {action}\n");
        if !data.is_empty() {
            text.push_str(&format!(" response-ip-data: 192.0.2.1 \"{data}\"\n"));
        }
        let policy = policy(&text, &[]);
        assert_eq!(ask(&policy, "www.example.", false), want, "{action} {data}");
        assert_eq!(ask(&policy, "alias.example.", false), "192.0.2.2 ad", "another address");
    }
}

#[test]
fn the_first_common_tag_says_what_happens_to_an_address() {
    for (tags, want) in
        [("one", "REFUSED"), ("two", "203.0.113.7"), ("three", "NXDOMAIN"), ("two one", "REFUSED")]
    {
        let text = format!(
            " define-tag: \"one two three\"\n access-control-tag: 192.0.2.0/24 \"{tags}\"\n\
             access-control-tag-action: 192.0.2.0/24 one always_refuse\n\
             access-control-tag-action: 192.0.2.0/24 two redirect\n\
             access-control-tag-data: 192.0.2.0/24 two \"A 203.0.113.7\"\n\
             response-ip: 192.0.2.0/24 always_nxdomain\n\
             response-ip-tag: 192.0.2.0/24 \"one two\"\n"
        );
        assert_eq!(ask(&policy(&text, &[]), "www.example.", false), want, "{tags}");
    }
}

#[test]
fn a_view_comes_before_what_is_outside_of_it() {
    let rest = "view:\n name: v\n local-zone: in.view. static\n local-data: 'a.in.view. A 203.0.113.1'\n\
                local-zone: out.view. noview\n local-data: 'known.view. A 203.0.113.2'\n";
    let outside = " access-control-view: 192.0.2.0/24 v\n response-ip: 192.0.2.1 always_nxdomain\n\
                   local-zone: view. refuse\n";
    for (first, qname, want) in [
        ("no", "a.in.view.", "203.0.113.1 aa"),
        ("no", "b.in.view.", "NXDOMAIN aa"),
        ("no", "a.out.view.", "NXDOMAIN ad"),
        ("yes", "a.out.view.", "REFUSED aa"),
        ("no", "known.view.", "203.0.113.2 aa"),
        ("yes", "other.view.", "REFUSED aa"),
        ("no", "other.view.", "NXDOMAIN ad"),
        ("yes", "www.example.", "NXDOMAIN"),
        ("no", "www.example.", "192.0.2.1 ad"),
    ] {
        let text = format!("{outside}{rest} view-first: {first}\n");
        assert_eq!(ask(&policy(&text, &[]), qname, false), want, "{first} {qname}");
    }
}

#[test]
fn tags_and_overrides_say_what_a_local_zone_does() {
    let text = " define-tag: \"one two\"\n access-control-tag: 192.0.2.0/24 \"two\"\n\
                access-control-tag-action: 192.0.2.0/24 two redirect\n\
                access-control-tag-data: 192.0.2.0/24 two \"A 203.0.113.3\"\n\
                local-zone: ours.test. static\n local-zone-tag: ours.test. \"two\"\n\
                local-zone: theirs.test. refuse\n local-zone-tag: theirs.test. \"one\"\n\
                local-zone: test. always_nodata\n\
                local-zone: other.test. static\n local-zone-override: other.test. 192.0.2.0/24 deny\n";
    let policy = policy(text, &[]);
    for (qname, want) in [
        ("a.ours.test.", "203.0.113.3 aa"),
        ("a.theirs.test.", "NOERROR aa"),
        ("a.other.test.", "drop"),
    ] {
        assert_eq!(ask(&policy, qname, false), want, "{qname}");
    }
}
