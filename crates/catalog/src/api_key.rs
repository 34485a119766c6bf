//! Table `api_key`: who may call the service and what for. The catalog sees digests of secrets, never a secret.

use std::collections::BTreeSet;

use base::{Id, IdKind};
use serde::de::DeserializeOwned;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Digest, Error, Listed, Page, Result, corpus,
    page::{List, list},
    row::{Columns, mint, now_ms, words},
};

words! {
    /// What a key allows. None includes another.
    Scope {
        Read = "read",
        Ask = "ask",
        Write = "write",
        Admin = "admin",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub name: String,
    /// BLAKE3 of the secret.
    pub hash: Digest,
    pub scopes: BTreeSet<Scope>,
    /// `None`: every corpus of the owner, later ones too.
    pub corpora: Option<Vec<Id>>,
    pub expires_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: Id,
    pub owner: String,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub corpora: Option<Vec<Id>>,
    pub created_ms: u64,
    pub expires_ms: Option<u64>,
    /// To the minute.
    pub last_used_ms: Option<u64>,
    pub revoked_ms: Option<u64>,
}

/// Whether a key is neither revoked nor expired at ?1.
macro_rules! valid {
    ($key:literal) => {
        concat!($key, ".revoked_ms IS NULL AND (", $key, ".expires_ms IS NULL OR ", $key, ".expires_ms > ?1)")
    };
}
pub(crate) use valid;

const OF_OWNER: List = list!("key", "SELECT * FROM api_key WHERE owner_id = ?1", "id");
/// How exactly the last use of a key is known: every note of it is a durable commit.
const USE_NOTED_EVERY_MS: u64 = 60_000;

impl Catalog {
    /// Errors: [`Error::NotFound`] when the key is restricted to a corpus of another owner.
    pub async fn create_key(&self, owner: &str, new: &NewKey) -> Result<Key> {
        let id = mint(IdKind::Key);
        let mut tx = self.write().await?;
        for corpus in new.corpora.iter().flatten() {
            corpus::check_owner(&mut tx, owner, corpus).await?;
        }
        let corpora =
            new.corpora.as_ref().map(|ids| serde_json::Value::from_iter(ids.iter().map(Id::as_str)));
        let scopes = serde_json::Value::from_iter(new.scopes.iter().map(|scope| scope.as_str()));
        sqlx::query(
            "INSERT INTO api_key (id, owner_id, name, hash, scopes, corpora, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(id.as_str())
        .bind(owner)
        .bind(&new.name)
        .bind(&new.hash.0[..])
        .bind(scopes.to_string())
        .bind(corpora.map(|ids| ids.to_string()))
        .bind(now_ms() as i64)
        .bind(new.expires_ms.map(|ms| ms as i64))
        .execute(&mut *tx)
        .await?;
        let key = find(&mut tx, owner, id.as_str()).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Keys of an owner by age, expired and revoked ones too.
    pub async fn list_keys(&self, owner: &str, page: &Page) -> Result<Listed<Key>> {
        OF_OWNER.page(self.reader(), owner, page, read).await
    }

    /// Makes a key and its browser sessions useless at once. Doing it twice is fine.
    pub async fn revoke_key(&self, owner: &str, id: &str) -> Result<Key> {
        let mut tx = self.write().await?;
        find(&mut tx, owner, id).await?;
        sqlx::query("UPDATE api_key SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL")
            .bind(id)
            .bind(now_ms() as i64)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM browser_session WHERE key_id = ?1").bind(id).execute(&mut *tx).await?;
        let key = find(&mut tx, owner, id).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// The key with this digest if it is valid at `now_ms`; notes its use.
    pub async fn find_key(&self, hash: Digest, now_ms: u64) -> Result<Option<Key>> {
        let row = sqlx::query(concat!("SELECT * FROM api_key k WHERE hash = ?2 AND ", valid!("k")))
            .bind(now_ms as i64)
            .bind(&hash.0[..])
            .fetch_optional(self.reader())
            .await?;
        let key = row.as_ref().map(read).transpose()?;
        if let Some(key) = &key {
            self.note_use(key, now_ms).await?;
        }
        Ok(key)
    }

    /// Whether there ever was a key, valid or not.
    pub async fn keys_exist(&self) -> Result<bool> {
        Ok(sqlx::query("SELECT 1 FROM api_key LIMIT 1").fetch_optional(self.reader()).await?.is_some())
    }

    /// Whether anybody holds a valid key: without one the service is open to its own machine.
    pub async fn any_keys(&self, now_ms: u64) -> Result<bool> {
        let row = sqlx::query(concat!("SELECT 1 FROM api_key k WHERE ", valid!("k"), " LIMIT 1"));
        Ok(row.bind(now_ms as i64).fetch_optional(self.reader()).await?.is_some())
    }

    pub(crate) async fn note_use(&self, key: &Key, now_ms: u64) -> Result<()> {
        if key.last_used_ms.is_some_and(|last| now_ms < last.saturating_add(USE_NOTED_EVERY_MS)) {
            return Ok(());
        }
        let mut tx = self.write().await?;
        sqlx::query("UPDATE api_key SET last_used_ms = ?2 WHERE id = ?1")
            .bind(key.id.as_str())
            .bind(now_ms as i64)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}

async fn find(tx: &mut SqliteConnection, owner: &str, id: &str) -> Result<Key> {
    let row = sqlx::query("SELECT * FROM api_key WHERE id = ?1 AND owner_id = ?2").bind(id).bind(owner);
    let row = row.fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("key", id))
}

pub(crate) fn read(row: &SqliteRow) -> Result<Key> {
    let corpora = row.opt_text("corpora")?.map(|_| list_of::<String>(row, "corpora")).transpose()?;
    let corpus = |text: String| {
        Id::parse(IdKind::Corpus, &text).map_err(|_| Error::BadRow {
            table: "api_key",
            column: "corpora",
            value: text,
        })
    };
    Ok(Key {
        id: row.id(IdKind::Key, "id")?,
        owner: row.text("owner_id")?,
        name: row.text("name")?,
        scopes: list_of::<Scope>(row, "scopes")?.into_iter().collect(),
        corpora: corpora.map(|ids| ids.into_iter().map(corpus).collect()).transpose()?,
        created_ms: row.count("created_ms")?,
        expires_ms: row.opt_count("expires_ms")?,
        last_used_ms: row.opt_count("last_used_ms")?,
        revoked_ms: row.opt_count("revoked_ms")?,
    })
}

fn list_of<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<Vec<T>> {
    let value = row.json(column)?;
    let text = value.to_string();
    serde_json::from_value(value).map_err(|_| Error::BadRow { table: "api_key", column, value: text })
}
