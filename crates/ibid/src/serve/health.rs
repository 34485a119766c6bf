//! `/healthz` and `/readyz`: whether the process lives, and whether it should be sent requests. Neither needs a key.

use super::service::Service;
use axum::{extract::State, http::StatusCode};
use std::sync::Arc;

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "service", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn healthz() -> &'static str {
    "ok"
}

/// Whether it takes requests
#[utoipa::path(get, path = "/readyz", tag = "service", security(()),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = String, content_type = "text/plain")))]
pub async fn readyz(State(service): State<Arc<Service>>) -> (StatusCode, &'static str) {
    if service.stopping.requested() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    match service.is_open().await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(error) => {
            tracing::error!("the catalog does not answer: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer")
        }
    }
}
