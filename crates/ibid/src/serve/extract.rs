//! Bodies, queries and paths of requests; what does not fit is told as a problem object.

use super::{refusal::Refusal, service::Service};
use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Refusal> {
        let read = tokio::time::timeout(BODY_TIME, Json::<T>::from_request(request, service)).await;
        match read.map_err(|_| too_slow(BODY_TIME))? {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) if rejection.status() == 413 => {
                Err(too_long(service.settings.service.request_bytes))
            }
            Err(rejection) => Err(refused(&rejection)),
        }
    }
}

/// For a body that is held in memory.
pub const BODY_TIME: Duration = Duration::from_secs(30);

pub fn too_slow(time: Duration) -> Refusal {
    Refusal::new(408, "too_slow", format!("the request did not come within {} s", time.as_secs()))
}

/// Of a body that is held in memory.
pub fn too_long(limit: u64) -> Refusal {
    let detail = format!(
        "the request is too long, request_bytes = {limit} allows no more; shorten it or raise service.request_bytes in \
         the configuration"
    );
    Refusal::new(413, "too_long", detail)
}

fn refused(rejection: &JsonRejection) -> Refusal {
    let (status, code) = match rejection {
        JsonRejection::JsonSyntaxError(_) => (400, "bad_json"),
        JsonRejection::MissingJsonContentType(_) => (415, "not_json"),
        JsonRejection::JsonDataError(_) => (422, "bad_field"),
        _ => (400, "bad_request"),
    };
    Refusal::new(status, code, rejection.body_text())
}

/// Fields of the query.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let QueryRejection::FailedToDeserializeQueryString(_) = &rejection else {
                    return Err(Refusal::new(400, "bad_query", rejection.body_text()));
                };
                Err(Refusal::new(422, "bad_query", rejection.body_text()))
            }
        }
    }
}

/// Variables of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection @ PathRejection::FailedToDeserializePathParams(_)) => {
                Err(Refusal::new(404, "not_found", rejection.body_text()))
            }
            Err(rejection) => Err(Refusal::new(400, "bad_path", rejection.body_text())),
        }
    }
}
