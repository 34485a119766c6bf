//! What the service says of itself: health, figures, usage, plans, its description and its page.

use super::server::Server;
use crate::{documents::HONEY_QUESTION, program::Bench};
use serde_json::{Value, json};

/// The value of a series of the Prometheus text format.
fn figure(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
}

#[test]
fn the_service_tells_how_it_is_and_what_was_used() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    for path in ["/healthz", "/readyz"] {
        let reply = api.get(path);
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"), "{path}");
    }
    let answer = api.ask(&corpus, HONEY_QUESTION);
    api.get("/v1/corpora/nothing").refused(404, "not_found");
    let metrics = api.get("/metrics");
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    let metrics = metrics.text();
    assert_eq!(figure(&metrics, "ibid_questions_total"), 1.0);
    assert_eq!(figure(&metrics, "ibid_questions_running"), 0.0);
    assert_eq!(figure(&metrics, "ibid_http_requests_total{status=\"4xx\"}"), 1.0);
    let reused = answer["usage"]["reused_corpus_tokens"].as_f64().unwrap();
    assert_eq!(figure(&metrics, "ibid_reused_corpus_tokens_total"), reused);
    assert_eq!(
        figure(&metrics, "ibid_http_request_seconds_count"),
        figure(&metrics, "ibid_http_request_seconds_bucket{le=\"+Inf\"}")
    );

    let usage = api.get("/v1/usage").ok();
    let used = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!((used("corpora"), used("documents"), used("answers")), (1, 3, 1), "{usage:#}");
    assert_eq!(usage["owner"], "local");
    assert_eq!((used("prefilled_corpus_tokens"), used("reused_corpus_tokens") as f64), (0, reused));
    let kv: u64 = bench.segments().iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(usage["storage"]["kv_bytes"], kv, "{usage:#}");
    assert_eq!(usage["storage"], api.get(&format!("/v1/corpora/{corpus}")).ok()["storage"]);

    let models = api.get("/v1/models").ok();
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids[0], format!("corpus:{corpus}"));
    assert!(ids[1].contains("SmolLM2"), "{ids:?}");
}

#[test]
fn plans_the_description_and_the_page_need_no_corpus() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let api = &server.api;
    let plan_of = |preset: &str, tokens: u64| {
        let model = json!({ "preset": preset });
        let request =
            json!({ "tokens": tokens, "model": model, "weights": "int4_experts", "kv_dtype": "int8" });
        api.post("/v1/models/plan", &request)
    };
    let plan = |tokens| plan_of("llama-4-scout", tokens);
    let (one, ten) = (plan(1_000_000).ok(), plan(10_000_000).ok());
    let kv = |plan: &Value| plan["disk_bytes"]["kv"].as_u64().unwrap();
    assert_eq!(kv(&one) * 10, kv(&ten), "{one:#}");
    assert_eq!(kv(&one), one["kv_bytes_per_token"].as_u64().unwrap() * 1_000_000);
    plan(0).refused(422, "bad_tokens");
    plan_of("llama-3.2-1b", 1).refused(409, "bad_weights");

    let description = api.get("/v1/openapi.json").ok();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"), "{}", description["openapi"]);
    assert!(description["paths"]["/v1/corpora/{corpus_id}/answers"]["post"].is_object());

    let page = api.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/..%2f..%2fetc/passwd"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let reply = server.raw(request.as_bytes());
        assert!(reply.starts_with("HTTP/1.1 404"), "{path}: {reply}");
    }
}
