//! `/metrics`: figures of this process in the Prometheus text format (version 0.0.4).

use super::service::Service;
use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Upper bounds of the histogram of request times, seconds.
const BOUNDS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

pub struct Metrics {
    began: Instant,
    /// Requests by the first digit of their status, from 1.
    by_class: [AtomicU64; 5],
    /// Requests no longer than each bound.
    within: [AtomicU64; BOUNDS.len()],
    request_ms: AtomicU64,
}

impl Metrics {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            by_class: Default::default(),
            within: Default::default(),
            request_ms: AtomicU64::new(0),
        }
    }

    pub fn request(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, self.by_class.len());
        self.by_class[class - 1].fetch_add(1, Relaxed);
        self.request_ms.fetch_add(took.as_millis() as u64, Relaxed);
        for (bound, within) in BOUNDS.iter().zip(&self.within) {
            if took.as_secs_f64() <= *bound {
                within.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service", security(()), responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text(&service))
}

fn text(service: &Service) -> String {
    let metrics = &service.metrics;
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, lines: &[(String, f64)]| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP ibid_{name} {help}\n# TYPE ibid_{name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(out, "ibid_{name}{labels} {value}");
        }
    };
    let one = |value: u64| vec![(String::new(), value as f64)];
    family("uptime_seconds", "gauge", "Since the start", &one(metrics.began.elapsed().as_secs()));
    let by_class: Vec<_> = metrics
        .by_class
        .iter()
        .enumerate()
        .map(|(class, n)| (format!("{{status=\"{}xx\"}}", class + 1), n.load(Relaxed) as f64))
        .collect();
    family("http_requests_total", "counter", "Requests by status", &by_class);
    let total: f64 = by_class.iter().map(|(_, n)| n).sum();
    let mut times: Vec<_> = BOUNDS
        .iter()
        .zip(&metrics.within)
        .map(|(bound, n)| (format!("_bucket{{le=\"{bound}\"}}"), n.load(Relaxed) as f64))
        .collect();
    times.push(("_bucket{le=\"+Inf\"}".into(), total));
    times.push(("_sum".into(), metrics.request_ms.load(Relaxed) as f64 / 1e3));
    times.push(("_count".into(), total));
    family("http_request_seconds", "histogram", "Time until a reply begins", &times);
    let (running, queued) = service.questions.load();
    family("questions_running", "gauge", "Questions being answered", &one(running));
    family("questions_queued", "gauge", "Questions that wait for their turn", &one(queued));
    let asked = service.questions.figures();
    family("questions_total", "counter", "Questions answered since the start", &one(asked.answered));
    family("output_tokens_total", "counter", "Tokens decoded for answers", &one(asked.output_tokens));
    family(
        "prefilled_corpus_tokens_total",
        "counter",
        "Document tokens computed again for answers",
        &one(asked.prefilled),
    );
    family(
        "reused_corpus_tokens_total",
        "counter",
        "Document tokens composed from disk for answers",
        &one(asked.reused),
    );
    let kv = service.ingest.stores.kv.counters();
    family("kv_bytes_read_total", "counter", "Bytes of KV read from disk", &one(kv.bytes_read));
    out
}
