//! Table `idempotency`: the reply to a request that carried an Idempotency-Key, so that sending it again does nothing
//! twice.

use base::Id;
use serde_json::Value;
use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    Catalog, Digest, Error, Result,
    row::{Columns, now_ms},
};

/// What to do with a request that carries a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// Carry it out, then finish or forget it.
    New,
    Replay(Reply),
    /// The same request is being carried out.
    Running,
    /// The key was used for another request.
    OtherBody,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    /// JSON object of the headers worth repeating.
    pub headers: Value,
    /// Of a stream: the id of the answer whose events it repeats.
    pub body: Vec<u8>,
    /// What the upload held that was replied to.
    pub content: Option<Digest>,
}

/// What a reply tells of: it is forgotten with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Of every reply that repeats an answer, for the text of removed documents must not live on in it.
    pub answer: Option<Id>,
    pub corpus: Option<Id>,
}

/// How long a reply is kept.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

impl Catalog {
    /// Claims a key for a request; of many at once one is [`Begun::New`]. `route`: method and path; `fingerprint`:
    /// digest of the rest of it, but for the content of an upload.
    pub async fn begin_request(
        &self,
        owner: &str,
        key: &str,
        route: &str,
        fingerprint: Digest,
    ) -> Result<Begun> {
        let now = now_ms();
        let mut tx = self.write().await?;
        // An expired row of this key must not be in the way, purged or not.
        sqlx::query("DELETE FROM idempotency WHERE owner_id = ?1 AND key = ?2 AND created_ms <= ?3")
            .bind(owner)
            .bind(key)
            .bind(now.saturating_sub(KEPT_MS) as i64)
            .execute(&mut *tx)
            .await?;
        let claimed = sqlx::query(
            "INSERT INTO idempotency (owner_id, key, route, fingerprint, state, created_ms)
             VALUES (?1, ?2, ?3, ?4, 'running', ?5) ON CONFLICT (owner_id, key) DO NOTHING",
        )
        .bind(owner)
        .bind(key)
        .bind(route)
        .bind(&fingerprint.0[..])
        .bind(now as i64)
        .execute(&mut *tx)
        .await?;
        if claimed.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(Begun::New);
        }
        let row = sqlx::query("SELECT * FROM idempotency WHERE owner_id = ?1 AND key = ?2")
            .bind(owner)
            .bind(key)
            .fetch_one(&mut *tx)
            .await?;
        Ok(match () {
            () if row.text("route")? != route || row.digest("fingerprint")? != fingerprint => {
                Begun::OtherBody
            }
            () if row.text("state")? == "running" => Begun::Running,
            () => Begun::Replay(read(&row)?),
        })
    }

    /// Keeps the reply, unless what it tells of is gone or was scrubbed meanwhile: then the key is forgotten.
    pub async fn finish_request(&self, owner: &str, key: &str, reply: &Reply, about: &About) -> Result<()> {
        let mut tx = self.write().await?;
        let (answer, corpus) = (about.answer.as_ref().map(Id::as_str), about.corpus.as_ref().map(Id::as_str));
        let kept = sqlx::query(
            "UPDATE idempotency SET state = 'done', status = ?3, headers = ?4, body = ?5, answer_id = ?6, corpus_id = ?7,
                content = ?8
             WHERE owner_id = ?1 AND key = ?2
               AND (?6 IS NULL OR EXISTS (SELECT 1 FROM answer WHERE id = ?6 AND source_removed = 0))
               AND (?7 IS NULL OR EXISTS (SELECT 1 FROM corpus WHERE id = ?7))",
        )
        .bind(owner)
        .bind(key)
        .bind(i64::from(reply.status))
        .bind(reply.headers.to_string())
        .bind(&reply.body)
        .bind(answer)
        .bind(corpus)
        .bind(reply.content.as_ref().map(|digest| &digest.0[..]))
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() == 0 {
            sqlx::query("DELETE FROM idempotency WHERE owner_id = ?1 AND key = ?2")
                .bind(owner)
                .bind(key)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Gives the key back: the request failed before anything happened. A reply that was kept stays.
    pub async fn forget_request(&self, owner: &str, key: &str) -> Result<()> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM idempotency WHERE owner_id = ?1 AND key = ?2 AND state = 'running'")
            .bind(owner)
            .bind(key)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// For the process that has just become the only one: gives back the keys of requests that died with the last
    /// one; how many.
    pub async fn forget_running(&self) -> Result<u64> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM idempotency WHERE state = 'running'").execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }

    /// Deletes replies older than a day at `now_ms`; how many.
    pub async fn purge_requests(&self, now_ms: u64) -> Result<u64> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM idempotency WHERE created_ms <= ?1")
            .bind(now_ms.saturating_sub(KEPT_MS) as i64)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}

fn read(row: &SqliteRow) -> Result<Reply> {
    let status = row.count("status")?;
    Ok(Reply {
        status: u16::try_from(status).map_err(|_| Error::BadRow {
            table: "idempotency",
            column: "status",
            value: status.to_string(),
        })?,
        headers: row.json("headers")?,
        body: row.try_get("body")?,
        content: row.opt_digest("content")?,
    })
}
