//! Statistics as Unbound shows them: `name=value`, a line each. Exporters read the names and the
//! order.

use std::fmt::Write;
use std::time::Duration;

use super::Control;
use crate::cache::CacheUsage;
use crate::clock::Now;
use crate::metrics::{Gauge, Metrics, Snapshot, Stat};
use crate::wire::Rcode;

/// Statistics of every worker and of all, since they were last shown; `reset`: counting begins
/// anew.
pub(super) fn show(control: &Control, reset: bool, now: Now) -> String {
    let config = control.config.load();
    let workers = control.metrics.recent(reset && !config.statistics_cumulative);
    let total = Metrics::sum(&workers);
    let mut out = String::new();
    for (index, worker) in workers.iter().enumerate() {
        of_worker(&mut out, &format!("thread{index}"), worker);
    }
    of_worker(&mut out, "total", &total);
    let up = now.mono.since(control.started).as_secs_f64();
    line(&mut out, "time.now", format!("{}.000000", now.unix));
    line(&mut out, "time.up", format!("{up:.6}"));
    line(&mut out, "time.elapsed", format!("{up:.6}"));
    if config.extended_statistics {
        extended(&mut out, &total, config.statistics_inhibit_zero);
        of_cache(&mut out, &control.cache.usage());
    }
    out
}

/// The lines that `statistics-interval:` puts into the log, as Unbound words them.
pub(super) fn summary(workers: &[Snapshot]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, of) in workers.iter().enumerate() {
        let head = format!("server stats for thread {index}:");
        lines.push(format!(
            "{head} {} queries, {} answers from cache, {} recursions, {} prefetch, \
             0 rejected by ip ratelimiting",
            of.get(Stat::Queries),
            of.get(Stat::CacheHits),
            of.get(Stat::CacheMisses),
            of.get(Stat::Prefetched),
        ));
        lines.push(format!(
            "{head} requestlist max {} avg {} exceeded {} jostled {}",
            of.list_max(),
            of.list_average(),
            of.get(Stat::ListExceeded),
            of.get(Stat::ListOverwritten),
        ));
        if of.get(Stat::RecursiveReplies) > 0 {
            let average = of.time_average().as_secs_f64();
            lines.push(format!("average recursion processing time {average:.6} sec"));
        }
    }
    lines
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name}={value}");
}

/// What there is for each worker, in Unbound's order. What cannot happen here is zero.
fn of_worker(out: &mut String, prefix: &str, of: &Snapshot) {
    let mut line = |name: &str, value: String| line(out, &format!("{prefix}.{name}"), value);
    let count = |stat: Stat| of.get(stat).to_string();
    let gauge = |gauge: Gauge| of.gauge(gauge).to_string();
    for stat in [
        Stat::Queries,
        Stat::RateLimited,
        Stat::CookieValid,
        Stat::CookieClient,
        Stat::CookieInvalid,
        Stat::Discarded,
    ] {
        line(stat.name(), count(stat));
    }
    line("num.queries_replyaddr_limit", "0".to_owned());
    for stat in
        [Stat::WaitLimited, Stat::CacheHits, Stat::CacheMisses, Stat::Prefetched, Stat::TimedOut]
    {
        line(stat.name(), count(stat));
    }
    line("query.queue_time_us.max", "0".to_owned());
    for stat in [Stat::Expired, Stat::RecursiveReplies] {
        line(stat.name(), count(stat));
    }
    line("num.dns_error_reports", "0".to_owned());
    line("requestlist.avg", of.list_average().to_string());
    line("requestlist.max", of.list_max().to_string());
    for stat in [Stat::ListOverwritten, Stat::ListExceeded] {
        line(stat.name(), count(stat));
    }
    for kind in [Gauge::ListAll, Gauge::ListUser, Gauge::ListReplies] {
        line(kind.name(), gauge(kind));
    }
    line("recursion.time.avg", format!("{:.6}", of.time_average().as_secs_f64()));
    line("recursion.time.median", of.time_median().as_secs_f64().to_string());
    line(Gauge::TcpUsage.name(), gauge(Gauge::TcpUsage));
}

/// `extended-statistics: yes`
fn extended(out: &mut String, total: &Snapshot, inhibit_zero: bool) {
    for (low, high, count) in total.times() {
        let split = |micros| {
            let time = Duration::from_micros(micros);
            format!("{:06}.{:06}", time.as_secs(), time.subsec_micros())
        };
        line(out, &format!("histogram.{}.to.{}", split(low), split(high)), count);
    }
    for (rtype, count) in total.types() {
        match rtype {
            Some(rtype) => line(out, &format!("num.query.type.{rtype}"), count),
            None => line(out, "num.query.type.other", count),
        }
    }
    let counts = |out: &mut String, stats: &[Stat]| {
        for stat in stats {
            line(out, stat.name(), total.get(*stat));
        }
    };
    counts(out, &[Stat::ClassIn, Stat::OpcodeQuery, Stat::Tcp, Stat::TcpOut, Stat::UdpOut]);
    for name in ["num.query.tls", "num.query.tls.resume"] {
        line(out, name, 0);
    }
    line(out, Stat::Ipv6.name(), total.get(Stat::Ipv6));
    line(out, "num.query.https", 0);
    for name in ["QR", "AA", "TC"] {
        line(out, &format!("num.query.flags.{name}"), 0);
    }
    line(out, Stat::FlagRd.name(), total.get(Stat::FlagRd));
    for name in ["RA", "Z"] {
        line(out, &format!("num.query.flags.{name}"), 0);
    }
    counts(out, &[Stat::FlagAd, Stat::FlagCd, Stat::EdnsPresent, Stat::EdnsDo]);
    for (rcode, count) in total.rcodes().filter(|row| row.1 > 0 || !inhibit_zero && row.0.0 < 6) {
        line(out, &format!("num.answer.rcode.{}", spelled(rcode)), count);
    }
    counts(out, &[Stat::NoData]);
    line(out, "num.query.ratelimited", 0);
    counts(out, &[Stat::Secure, Stat::Bogus, Stat::RrsetBogus]);
    counts(out, &[Stat::UnwantedQueries, Stat::UnwantedReplies]);
}

/// A response code as Unbound spells it.
fn spelled(rcode: Rcode) -> String {
    if rcode == Rcode::NOTIMP { "NOTIMPL".to_owned() } else { rcode.to_string() }
}

fn of_cache(out: &mut String, usage: &CacheUsage) {
    line(out, "msg.cache.count", usage.answers.entries);
    line(out, "rrset.cache.count", usage.rrsets.entries + usage.delegations.entries);
    line(out, "infra.cache.count", usage.infra.entries);
    line(out, "key.cache.count", usage.keys.entries);
    line(out, "mem.cache.message", usage.answers.used);
    line(out, "mem.cache.rrset", usage.rrsets.used + usage.delegations.used);
}
