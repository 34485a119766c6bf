//! Errors as replies: RFC 9457 problem objects with the request's id. What is internal is logged, not told.

use super::guard::request_id;
use crate::problem::{Failure, Problem};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A request that was not carried out.
#[derive(Debug)]
pub struct Refusal {
    problem: Problem,
    pub retry_after_s: Option<u64>,
}

/// `application/problem+json`
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemObject {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Stable: programs may depend on it.
    pub code: String,
    pub detail: String,
    pub request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Failure::new(status, code, detail).into()
    }

    /// One that was told before.
    pub fn told(status: u16, code: String, detail: String) -> Self {
        let problem =
            Problem { kind: "about:blank".into(), title: code.replace('_', " "), status, code, detail };
        Self { problem, retry_after_s: None }
    }

    pub fn not_found(kind: &'static str, id: &str) -> Self {
        Self::new(404, "not_found", format!("no {kind} {id:?}; list what exists to find the right one"))
    }

    /// 429: come back later.
    pub fn busy(code: &'static str, detail: impl Into<String>, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(429, code, detail) }
    }

    pub fn status(&self) -> u16 {
        self.problem.status
    }

    pub fn code(&self) -> &str {
        &self.problem.code
    }

    pub fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// As the client sees it.
    pub fn object(&self) -> ProblemObject {
        let Problem { kind, title, status, code, detail } = self.problem.clone();
        // Damage and refusals have words of their own; what nobody foresaw may quote anything.
        let detail = match code.as_str() {
            "internal" | "catalog_failed" => {
                "something failed inside; the log tells more under this request id".to_owned()
            }
            // Their details name files of the server.
            "damaged_data" => {
                "stored data is damaged; run ibid verify, the log tells more under this request id".to_owned()
            }
            "disk_full" => "the disk of the data folder is full; free some room and try again".to_owned(),
            _ => detail,
        };
        let retry_after_s = self.retry_after_s;
        ProblemObject { kind, title, status, code, detail, request_id: request_id(), retry_after_s }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self { problem: Problem::from_error(&error.into()), retry_after_s: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let object = self.object();
        if object.status >= 500 {
            tracing::error!(request_id = object.request_id, code = object.code, "{}", self.problem.detail);
        }
        let status = match object.status {
            // Not registered, and no client waits for it.
            499 => StatusCode::CONFLICT,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let body = serde_json::to_vec(&object).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
