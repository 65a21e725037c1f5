//! Metrics and health over HTTP/1.1, as little of it as Prometheus and health checks need.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | counters in Prometheus' text format |
//! | `/health` | 200 as long as the process serves |

use std::fmt::Write;
use std::io;
use std::net;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Control, Listen, accept_loop};
use crate::metrics::{Gauge, Snapshot, Stat};

/// Octets a request may have, head included; there is no body.
const LONGEST: usize = 8192;

/// Serves one passed listener until `stop` changes.
///
/// # Errors
///
/// When the listener cannot be used at all.
pub async fn serve(
    listener: net::TcpListener,
    control: Arc<Control>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    accept_loop(listener, stop, super::HTTP_PATIENCE, move |stream| {
        let control = Arc::clone(&control);
        async move { converse(&stream, &control).await }
    })
    .await;
    Ok(())
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// One request and its response.
async fn converse(stream: &TcpStream, control: &Control) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    let response = loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => request.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if request.windows(4).any(|end| end == b"\r\n\r\n") {
            break respond(&request, control);
        }
        if request.len() > LONGEST {
            break response(431, "Request Header Fields Too Large", "too long\n", false);
        }
    };
    let mut rest = response.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(len) => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The response to a request whose head is whole.
fn respond(request: &[u8], control: &Control) -> String {
    let line = request.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|version| version.starts_with("HTTP/1.")) || words.next().is_some() {
        return response(400, "Bad Request", "bad request\n", false);
    }
    let head = method == Some("HEAD");
    if !head && method != Some("GET") {
        return response(405, "Method Not Allowed", "method not allowed\n", false);
    }
    let path = target.unwrap_or_default().split('?').next().unwrap_or_default();
    match path {
        "/metrics" => response(200, "OK", &page(&control.metrics.totals()), head),
        "/health" => response(200, "OK", "ok\n", head),
        _ => response(404, "Not Found", "not found\n", head),
    }
}

fn response(code: u16, reason: &str, body: &str, head: bool) -> String {
    let allow = if code == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n{allow}\r\n{}",
        body.len(),
        if head { "" } else { body }
    )
}

/// Every counter, by worker.
fn page(workers: &[Snapshot]) -> String {
    let mut out = String::new();
    let by_worker = |out: &mut String, name: &str, kind: &str, of: &dyn Fn(&Snapshot) -> u64| {
        let name = format!("prebound_{}", name.replace('.', "_").to_lowercase());
        let name = if kind == "counter" { format!("{name}_total") } else { name };
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (index, worker) in workers.iter().enumerate() {
            let _ = writeln!(out, "{name}{{thread=\"{index}\"}} {}", of(worker));
        }
    };
    for stat in Stat::ALL {
        by_worker(&mut out, stat.name(), "counter", &|worker| worker.get(*stat));
    }
    for gauge in Gauge::ALL {
        by_worker(&mut out, gauge.name(), "gauge", &|worker| worker.gauge(*gauge));
    }
    let total = crate::metrics::Metrics::sum(workers);
    out.push_str("# TYPE prebound_answers_total counter\n");
    for (rcode, count) in total.rcodes().filter(|row| row.1 > 0) {
        let _ = writeln!(out, "prebound_answers_total{{rcode=\"{rcode}\"}} {count}");
    }
    out.push_str("# TYPE prebound_query_types_total counter\n");
    for (rtype, count) in total.types() {
        let rtype = rtype.map_or_else(|| "other".to_owned(), |rtype| rtype.to_string());
        let _ = writeln!(out, "prebound_query_types_total{{type=\"{rtype}\"}} {count}");
    }
    times(&mut out, &total);
    out
}

/// The histogram of recursion times, in seconds, cumulative as Prometheus wants it.
fn times(out: &mut String, total: &Snapshot) {
    let name = "prebound_recursion_time_seconds";
    let _ = writeln!(out, "# TYPE {name} histogram");
    let mut sum = 0;
    for (_, high, count) in total.times() {
        sum += count;
        let bound = std::time::Duration::from_micros(high).as_secs_f64();
        let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {sum}");
    }
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {sum}");
    let _ = writeln!(out, "{name}_sum {}\n{name}_count {sum}", total.time_sum().as_secs_f64());
}
