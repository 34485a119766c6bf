//! Guard: what every request passes before a handler sees it. A request id, and the refusal of what a foreign web page
//! might send: a host name that is not ours (DNS rebinding) or a request from another site.

use super::{refusal::Refusal, service::Service};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc, time::Instant};
use tokio::task::AbortHandle;

tokio::task_local! {
    static REQUEST_ID: String;
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id of a client that is taken over.
const ID_LIMIT: usize = 128;

/// The id of the request being answered; empty outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Work on a task of its own that is still part of the request being answered.
pub fn same_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    REQUEST_ID.scope(request_id(), work)
}

/// Wraps every route.
pub async fn guard(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let id = id_of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();
    let mut response = REQUEST_ID
        .scope(id.clone(), async {
            match check(&service.settings.service.host_names, &request) {
                Ok(()) => next.run(request).await,
                Err(refusal) => refusal.into_response(),
            }
        })
        .await;
    let status = response.status().as_u16();
    service.metrics.request(status, began.elapsed());
    // Paths hold ids, never document text; queries may hold names and are left out.
    tracing::info!(request_id = id, %method, path, status, ms = began.elapsed().as_millis() as u64);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A handler that panics answers 500 like any other failure; the next request is served.
pub async fn catch_panics(request: Request, next: Next) -> Response {
    // Looking something up ends with its client; what changes something is carried out.
    let looks = request.method() == Method::GET;
    let work = tokio::spawn(same_request(next.run(request)));
    let _ends = looks.then(|| AbortOnDrop(work.abort_handle()));
    match work.await {
        Ok(response) => response,
        Err(_) => Refusal::new(500, "internal", "a handler stopped unexpectedly").into_response(),
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn id_of(headers: &HeaderMap) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain =
        |id: &&str| !id.is_empty() && id.len() <= ID_LIMIT && id.bytes().all(|b| b.is_ascii_graphic());
    match given.filter(plain) {
        Some(id) => id.to_owned(),
        None => format!("req_{}", super::service::random_token(10)),
    }
}

fn check(host_names: &[String], request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let hosts = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let named: Vec<&str> = hosts.chain(authority).collect();
    // Every name that is given has to be one of ours, and there has to be one.
    if let Some(foreign) = named.iter().find(|name| !is_ours(host_name(name), host_names)) {
        let detail = format!(
            "{foreign:?} is no name of this service; add it to service.host_names of the configuration"
        );
        return Err(Refusal::new(403, "foreign_host", detail));
    }
    let Some(host) = named.first().copied() else {
        return Err(Refusal::new(403, "foreign_host", "the request names no host"));
    };
    // A link on another site may open a page, nothing else.
    let opens_page = request.method() == Method::GET
        && !request.uri().path().starts_with("/v1/")
        && text(HeaderName::from_static("sec-fetch-mode")) == Some("navigate");
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let foreign_site = site.is_some_and(|site| !matches!(site, "same-origin" | "none")) && !opens_page;
    let foreign_origin = text(header::ORIGIN).is_some_and(|origin| {
        let named = origin.split_once("://").map(|(_, host)| host);
        named != Some(host)
    });
    if foreign_site || foreign_origin || headers.get(header::ORIGIN).is_some_and(|o| o.to_str().is_err()) {
        return Err(Refusal::new(
            403,
            "cross_site",
            "requests from pages of other sites are not carried out",
        ));
    }
    Ok(())
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// An address cannot be rebound, a name can.
fn is_ours(name: &str, host_names: &[String]) -> bool {
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || host_names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn outcome(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let names = ["ibid.example".to_owned()];
        check(&names, &request.body(Body::empty()).unwrap()).map_err(|refusal| refusal.code().to_owned())
    }

    #[test]
    fn names_that_could_be_rebound_are_refused() {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7", "IBID.example"] {
            assert_eq!(outcome("GET", "/v1/corpora", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8080", "", "127.0.0.1.evil.example"] {
            assert_eq!(outcome("GET", "/", &[("host", host)]), Err("foreign_host".into()), "{host}");
        }
    }

    #[test]
    fn other_sites_may_open_a_page_and_nothing_else() {
        let host = ("host", "localhost:8080");
        let ours = [host, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")];
        assert_eq!(outcome("POST", "/v1/corpora", &ours), Ok(()));
        for headers in [
            [host, ("origin", "http://evil.example")],
            [host, ("origin", "null")],
            [host, ("origin", "http://localhost:9090")],
            [host, ("sec-fetch-site", "cross-site")],
            [host, ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(outcome("POST", "/v1/corpora", &headers), Err("cross_site".into()), "{headers:?}");
            assert_eq!(outcome("GET", "/v1/corpora", &headers), Err("cross_site".into()), "{headers:?}");
        }
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(outcome("GET", "/", &link), Ok(()));
        assert_eq!(outcome("GET", "/v1/corpora", &link), Err("cross_site".into()));
        assert_eq!(outcome("POST", "/", &link), Err("cross_site".into()));
    }
}
