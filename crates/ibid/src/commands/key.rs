//! `ibid key …`: who may call the service. A secret is printed once; the catalog keeps its digest.

use crate::{
    cli::{Key, KeyCreate, KeyScope},
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    rest,
    serve::{digest, random_token},
};
use anyhow::Result;
use catalog::{NewKey, Page, Scope, now_ms};
use serde::Serialize;
use std::collections::BTreeSet;

/// What a key begins with, for people and for scanners that look for leaked secrets.
const PREFIX: &str = "ibid_";
const SECRET_BYTES: usize = 32;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[derive(Debug, Serialize)]
struct KeyObject {
    object: &'static str,
    id: String,
    owner: String,
    name: String,
    scopes: Vec<String>,
    corpora: Option<Vec<String>>,
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
    /// Only where the key is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

pub async fn run(owner: &Owner, args: &Key, out: &Out) -> Result<Exit> {
    match args {
        Key::Create(args) => create(owner, args, out).await,
        Key::List(args) => list(owner, &args.owner, out).await,
        Key::Revoke(args) => {
            let key = owner.catalog().revoke_key(&args.owner, &args.id).await?;
            out.line(format_args!("revoked {}", key.id));
            out.object(object(&key, None));
            Ok(Exit::Done)
        }
    }
}

async fn create(owner: &Owner, args: &KeyCreate, out: &Out) -> Result<Exit> {
    let who = checked_owner(&args.owner)?;
    let mut corpora = Vec::new();
    for name in &args.corpora {
        corpora.push(owner.catalog().corpus(who, name).await?.id);
    }
    let secret = format!("{PREFIX}{}", random_token(SECRET_BYTES));
    let scopes = match args.scopes.as_slice() {
        [] => [Scope::Read, Scope::Ask, Scope::Write].into(),
        given => given.iter().copied().map(Scope::from).collect::<BTreeSet<_>>(),
    };
    let new = NewKey {
        name: args.name.clone(),
        hash: digest(&secret),
        scopes,
        corpora: (!corpora.is_empty()).then_some(corpora),
        expires_ms: args.days.map(|days| now_ms().saturating_add(days.saturating_mul(DAY_MS))),
    };
    let key = owner.catalog().create_key(who, &new).await?;
    out.line(format_args!("{secret}"));
    out.note("the key above is shown this once; send it as Authorization: Bearer KEY");
    out.object(object(&key, Some(secret)));
    Ok(Exit::Done)
}

async fn list(owner: &Owner, who: &str, out: &Out) -> Result<Exit> {
    let mut page = Page { limit: 1_000, ..Page::default() };
    let mut objects = Vec::new();
    loop {
        let listed = owner.catalog().list_keys(who, &page).await?;
        page.after = listed.items.last().map(|key| key.id.to_string());
        objects.extend(listed.items.iter().map(|key| object(key, None)));
        if !listed.has_more {
            break;
        }
    }
    if objects.is_empty() {
        out.line(format_args!(
            "{} has no key; make one with: ibid key create --owner NAME",
            rest::label(who)
        ));
    }
    for key in &objects {
        let state = match (&key.revoked_at, &key.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => format!("expires {at}"),
            (None, None) => "does not expire".to_owned(),
        };
        let used = key.last_used_at.as_deref().unwrap_or("never");
        let (name, scopes) = (rest::label(&key.name), key.scopes.join(" "));
        out.line(format_args!("{} {name}: {scopes}; {state}; last used {used}", key.id));
    }
    out.object(rest::List::new(objects, false, |key| &key.id));
    Ok(Exit::Done)
}

/// Errors: a name that could not be told from another one on a line.
fn checked_owner(name: &str) -> Result<&str, Failure> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if (1..=100).contains(&name.chars().count()) && name.chars().all(plain) {
        return Ok(name);
    }
    let detail = format!("{name:?} is no owner; give 1 to 100 letters, digits and . _ - @");
    Err(Failure::new(422, "bad_owner", detail))
}

fn object(key: &catalog::Key, secret: Option<String>) -> KeyObject {
    KeyObject {
        object: "key",
        id: key.id.to_string(),
        owner: key.owner.clone(),
        name: key.name.clone(),
        scopes: key.scopes.iter().map(ToString::to_string).collect(),
        corpora: key.corpora.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect()),
        created_at: rest::time(key.created_ms),
        expires_at: key.expires_ms.and_then(rest::time),
        last_used_at: key.last_used_ms.and_then(rest::time),
        revoked_at: key.revoked_ms.and_then(rest::time),
        secret,
    }
}

impl From<KeyScope> for Scope {
    fn from(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Read => Self::Read,
            KeyScope::Ask => Self::Ask,
            KeyScope::Write => Self::Write,
            KeyScope::Admin => Self::Admin,
        }
    }
}
