//! Who calls and what they may do. Objects of other owners do not exist for a caller: 404, never 403.

use super::{refusal::Refusal, service::Service};
use crate::problem::Failure;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use base::{Id, IdKind};
use catalog::{Corpus, Digest, Document, LOCAL_OWNER, Scope};
use std::{collections::BTreeSet, sync::Arc};

/// Name of the cookie that a browser gets for a key.
pub const COOKIE: &str = "ibid_session";

/// An authenticated caller. Handlers take it as an argument; there is no way in without one.
#[derive(Debug, Clone)]
pub struct Caller {
    pub owner: String,
    pub scopes: BTreeSet<Scope>,
    /// `None`: every corpus of the owner.
    pub corpora: Option<Vec<Id>>,
    pub expires_ms: Option<u64>,
    /// Nobody has a key, the service listens on this machine alone.
    pub open: bool,
}

/// The digest under which the catalog keeps a secret.
pub fn digest(secret: &str) -> Digest {
    Digest(*blake3::hash(secret.as_bytes()).as_bytes())
}

impl Caller {
    fn local() -> Self {
        Self {
            owner: LOCAL_OWNER.to_owned(),
            scopes: [Scope::Read, Scope::Ask, Scope::Write, Scope::Admin].into(),
            corpora: None,
            expires_ms: None,
            open: true,
        }
    }

    /// By `Authorization: Bearer`, `x-api-key` or the browser's cookie.
    pub async fn identify(service: &Service, headers: &HeaderMap) -> Result<Self, Refusal> {
        let now = catalog::now_ms();
        let catalog = service.catalog();
        let key = match (secret(headers), cookie(headers)) {
            (Some(secret), _) => catalog.find_key(digest(secret), now).await?,
            (None, Some(token)) => catalog.find_session(digest(token), now).await?.map(|session| session.key),
            (None, None) if service.is_open().await? => return Ok(Self::local()),
            (None, None) => None,
        };
        let key = key.ok_or_else(|| {
            Failure::new(401, "unauthenticated", "give a valid key as Authorization: Bearer KEY or x-api-key")
        })?;
        Ok(Self {
            owner: key.owner,
            scopes: key.scopes,
            corpora: key.corpora,
            expires_ms: key.expires_ms,
            open: false,
        })
    }

    /// Errors: 403 without the scope.
    pub fn allow(&self, scope: Scope) -> Result<(), Refusal> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Failure::new(403, "forbidden", format!("this key does not allow {scope}")).into())
    }

    pub fn sees(&self, corpus: &Id) -> bool {
        self.corpora.as_ref().is_none_or(|allowed| allowed.contains(corpus))
    }

    /// A corpus of the caller, by id.
    pub async fn corpus(&self, service: &Service, id: &str) -> Result<Corpus, Refusal> {
        let missing = || Refusal::not_found("corpus", id);
        let parsed = Id::parse(IdKind::Corpus, id).map_err(|_| missing())?;
        if !self.sees(&parsed) {
            return Err(missing());
        }
        Ok(service.catalog().corpus(&self.owner, id).await?)
    }

    /// A document of the caller, by id.
    pub async fn document(&self, service: &Service, id: &str) -> Result<Document, Refusal> {
        let document = service.catalog().document_of(&self.owner, id).await?;
        if self.sees(&document.corpus) { Ok(document) } else { Err(Refusal::not_found("document", id)) }
    }
}

/// The secret of a key; a malformed header is no secret.
fn secret(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' '));
    match bearer {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Some(secret.trim()),
        // Something was given that is no key: it must not pass as no key at all.
        Some(_) => Some(""),
        None if headers.contains_key(AUTHORIZATION) => Some(""),
        None => headers.get("x-api-key").map(|value| value.to_str().unwrap_or_default()),
    }
}

/// The browser's session token.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all("cookie").into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Refusal> {
        Self::identify(service, &parts.headers).await
    }
}
