//! `/v1/session`: a browser exchanges a key for a cookie that scripts cannot read. The service keeps a digest of the
//! cookie's token; the token ends with its key.

use super::{
    caller::{COOKIE, Caller, cookie, digest},
    extract::Body,
    refusal::{ProblemObject, Refusal},
    service::{Service, random_token},
};
use crate::rest;
use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, SET_COOKIE},
    },
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long a session lasts when its key does not end before.
const LASTS_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
const TOKEN_BYTES: usize = 32;

// Not `Debug`: a secret must not get into a log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The secret that `ibid key create` printed.
    pub key: String,
}

/// Who calls, and what for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// `session`
    pub object: &'static str,
    pub owner: String,
    /// No key is needed: nobody has one, and only this machine can call.
    pub open: bool,
    #[schema(schema_with = rest::described::scopes)]
    pub scopes: Vec<String>,
    /// The only corpora allowed; null: all of the owner's.
    #[schema(required)]
    pub corpora: Option<Vec<String>>,
    #[schema(required)]
    pub expires_at: Option<String>,
}

/// Exchange a key for a cookie
#[utoipa::path(post, path = "/v1/session", tag = "service", operation_id = "create_session", security(()), request_body = NewSession,
    responses((status = 204, description = "Set-Cookie: ibid_session"), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn create(
    State(service): State<Arc<Service>>,
    Body(new): Body<NewSession>,
) -> Result<impl IntoResponse, Refusal> {
    let now = catalog::now_ms();
    let key = service.catalog().find_key(digest(new.key.trim()), now).await?;
    let key = key.ok_or_else(|| {
        Refusal::new(401, "unauthenticated", "this key is not valid; ibid key create makes a new one")
    })?;
    let expires_ms = expiry(now, key.expires_ms);
    let token = random_token(TOKEN_BYTES);
    service.catalog().create_session(digest(&token), &key.id, expires_ms).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, set_cookie(&token, expires_ms.saturating_sub(now) / 1_000))]))
}

/// Show who calls
#[utoipa::path(get, path = "/v1/session", tag = "service", operation_id = "show_session",
    responses((status = 200, body = Session), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn show(
    State(service): State<Arc<Service>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Session>, Refusal> {
    let by_key = headers.contains_key(AUTHORIZATION) || headers.contains_key("x-api-key");
    let expires_ms = match cookie(&headers).filter(|_| !by_key) {
        Some(token) => {
            let session = service.catalog().find_session(digest(token), catalog::now_ms()).await?;
            session.map(|session| session.expires_ms).or(caller.expires_ms)
        }
        None => caller.expires_ms,
    };
    Ok(Json(Session {
        object: "session",
        owner: caller.owner,
        open: caller.open,
        scopes: caller.scopes.iter().map(ToString::to_string).collect(),
        corpora: caller.corpora.map(|ids| ids.iter().map(ToString::to_string).collect()),
        expires_at: expires_ms.and_then(rest::time),
    }))
}

/// Log out
///
/// Also without a valid session: a browser must be able to get rid of a cookie that has ended.
#[utoipa::path(delete, path = "/v1/session", tag = "service", operation_id = "delete_session", security(()),
    responses((status = 204, description = "Set-Cookie: ibid_session, ended"), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn delete(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    if let Some(token) = cookie(&headers) {
        service.catalog().delete_session(digest(token)).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, set_cookie("", 0))]))
}

fn expiry(now: u64, key_expires_ms: Option<u64>) -> u64 {
    now.saturating_add(LASTS_MS).min(key_expires_ms.unwrap_or(u64::MAX))
}

/// Not `Secure`: the service speaks HTTP, on this machine or behind whatever encrypts for it.
fn set_cookie(token: &str, seconds: u64) -> String {
    format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_key() {
        assert_eq!(expiry(1_000, None), 1_000 + LASTS_MS);
        assert_eq!(expiry(1_000, Some(5_000)), 5_000);
        assert_eq!(expiry(1_000, Some(u64::MAX)), 1_000 + LASTS_MS);
    }

    #[test]
    fn scripts_and_other_sites_do_not_get_the_cookie() {
        assert_eq!(set_cookie("t", 60), "ibid_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=60");
    }
}
