//! Table `browser_session`: a key exchanged for a cookie. A session can do what its key can, for as long as it can.

use base::Id;

use crate::{
    Catalog, Digest, Error, Key, Result,
    api_key::{self, valid},
    row::{Columns, int, now_ms},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub key: Key,
    pub expires_ms: u64,
}

impl Catalog {
    /// `hash`: BLAKE3 of the random token in the cookie.
    pub async fn create_session(&self, hash: Digest, key: &Id, expires_ms: u64) -> Result<()> {
        let mut tx = self.write().await?;
        let made = sqlx::query(
            "INSERT INTO browser_session (hash, key_id, created_ms, expires_ms)
             SELECT ?1, id, ?3, ?4 FROM api_key WHERE id = ?2 AND revoked_ms IS NULL",
        )
        .bind(&hash.0[..])
        .bind(key.as_str())
        .bind(now_ms() as i64)
        .bind(int("expiry", expires_ms)?)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Err(Error::not_found("key", key));
        }
        Ok(tx.commit().await?)
    }

    /// The session with this digest if it and its key are valid at `now_ms`; notes the use of the key.
    pub async fn find_session(&self, hash: Digest, now_ms: u64) -> Result<Option<Session>> {
        let row = sqlx::query(concat!(
            "SELECT k.*, s.expires_ms AS session_expires_ms FROM browser_session s JOIN api_key k ON k.id = s.key_id
             WHERE s.hash = ?2 AND s.expires_ms > ?1 AND ",
            valid!("k")
        ))
        .bind(int("time", now_ms)?)
        .bind(&hash.0[..])
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let session = Session { key: api_key::read(&row)?, expires_ms: row.count("session_expires_ms")? };
        self.note_use(&session.key, now_ms).await?;
        Ok(Some(session))
    }

    /// Logs out. A session that is not there is fine.
    pub async fn delete_session(&self, hash: Digest) -> Result<()> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM browser_session WHERE hash = ?1")
            .bind(&hash.0[..])
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Deletes sessions that ended by `now_ms`; how many.
    pub async fn purge_sessions(&self, now_ms: u64) -> Result<u64> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM browser_session WHERE expires_ms <= ?1")
            .bind(int("time", now_ms)?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}
