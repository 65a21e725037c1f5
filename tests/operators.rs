//! Metrics over HTTP, as Prometheus and health checks ask for them.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use prebound::cache::Cache;
use prebound::clock::{Mono, Rng};
use prebound::config::{Config, Settings};
use prebound::control::{Control, Running, http};
use prebound::metrics::{Metrics, Stat};
use prebound::policy::Policy;
use rand::SeedableRng;
use tokio::sync::{mpsc, watch};

/// A process that never changes.
struct Fixed(Arc<Policy>);

impl Running for Fixed {
    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.0)
    }

    fn put(&self, _: Config) {}
}

#[expect(clippy::disallowed_methods, reason = "a test is its own service manager")]
fn serve(metrics: Arc<Metrics>) -> (SocketAddr, watch::Sender<bool>, thread::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let config = Config::default();
    let running = Arc::new(Fixed(Arc::new(Policy::new(&config, ""))));
    let control = Arc::new(Control {
        running,
        workers: Vec::new(),
        cache: Arc::new(Cache::new(&config, &mut Rng::seed_from_u64(1))),
        config: Arc::new(ArcSwap::from_pointee(config)),
        settings: ArcSwap::from_pointee(Settings::default()),
        metrics,
        started: Mono::ZERO,
        orders: mpsc::unbounded_channel().0,
    });
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(http::serve(listener, control, stopped)).unwrap();
    });
    (address, stop, thread)
}

#[expect(clippy::disallowed_methods, reason = "a test is a client")]
fn request(address: SocketAddr, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn metrics_and_health_are_served() {
    let metrics = Arc::new(Metrics::new(2));
    metrics.worker(1).add(Stat::CacheHits);
    metrics.worker(0).recursion(Duration::from_micros(3));
    let (address, stop, thread) = serve(metrics);

    let page = request(address, &["GET /metr", "ics HTTP/1.1\r\nHost: x\r", "\n\r\n"]);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    for line in [
        "# TYPE prebound_num_cachehits_total counter",
        "prebound_num_cachehits_total{thread=\"0\"} 0",
        "prebound_num_cachehits_total{thread=\"1\"} 1",
        "prebound_recursion_time_seconds_bucket{le=\"0.000002\"} 0",
        "prebound_recursion_time_seconds_bucket{le=\"0.000004\"} 1",
        "prebound_recursion_time_seconds_bucket{le=\"+Inf\"} 1",
        "prebound_recursion_time_seconds_count 1",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} in\n{body}");
    }

    #[rustfmt::skip]
    let cases = [
        ("GET /health HTTP/1.1\r\n\r\n",       "200", "ok\n"),
        ("HEAD /health HTTP/1.0\r\n\r\n",      "200", ""),
        ("GET /health?verbose HTTP/1.1\r\n\r\n", "200", "ok\n"),
        ("GET /else HTTP/1.1\r\n\r\n",         "404", "not found\n"),
        ("POST /metrics HTTP/1.1\r\n\r\n",     "405", "method not allowed\n"),
        ("nonsense\r\n\r\n",                   "400", "bad request\n"),
    ];
    for (asked, code, body) in cases {
        let response = request(address, &[asked]);
        assert_eq!(response.split(' ').nth(1), Some(code), "{asked}");
        assert_eq!(response.split_once("\r\n\r\n").unwrap().1, body, "{asked}");
    }
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(8192 - 17));
    assert_eq!(request(address, &[&endless]).split(' ').nth(1), Some("431"));

    stop.send(true).unwrap();
    thread.join().unwrap();
}
