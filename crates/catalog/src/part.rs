//! Table `part`: the stretches a document version is prefilled in, and the KV segment each one needs.

use base::TokenSpan;
use sqlx::sqlite::SqliteRow;

use crate::{
    Catalog, Digest, Result, VersionId,
    row::{Columns, int},
};

/// A part about to be prefilled. The segment's identity follows from what goes into it, so it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPart {
    pub tokens: TokenSpan,
    pub segment: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub idx: u64,
    pub tokens: TokenSpan,
    pub segment: Digest,
    /// The segment is registered; otherwise it has to be prefilled.
    pub ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRef {
    pub version: VersionId,
    pub idx: u64,
}

impl Catalog {
    /// Replaces the parts of a version. Parts whose segment already exists are ready at once; when all are, the
    /// version moves from `prefilling` to `ready` in the same commit. Returns the parts, in order.
    pub async fn register_parts(&self, version: VersionId, parts: &[NewPart]) -> Result<Vec<Part>> {
        let mut tx = self.write().await?;
        let id = int("version", version.0)?;
        sqlx::query("DELETE FROM part WHERE version_id = ?1").bind(id).execute(&mut *tx).await?;
        for (idx, part) in (0_i64..).zip(parts) {
            sqlx::query(
                "INSERT INTO part (version_id, idx, token_start, token_end, segment, state)
                 SELECT ?1, ?2, ?3, ?4, ?5, CASE WHEN EXISTS
                     (SELECT 1 FROM segment WHERE digest = ?5 AND state = 'live') THEN 'ready' ELSE 'planned' END",
            )
            .bind(id)
            .bind(idx)
            .bind(int("token", part.tokens.start)?)
            .bind(int("token", part.tokens.end)?)
            .bind(&part.segment.0[..])
            .execute(&mut *tx)
            .await?;
        }
        finish_versions(&mut tx).await?;
        tx.commit().await?;
        self.parts(version).await
    }

    /// The parts of a version, in token order.
    pub async fn parts(&self, version: VersionId) -> Result<Vec<Part>> {
        let rows = sqlx::query("SELECT * FROM part WHERE version_id = ?1 ORDER BY idx")
            .bind(int("version", version.0)?)
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }
}

/// Versions whose last part has just become ready are ready themselves.
pub(crate) async fn finish_versions(tx: &mut sqlx::SqliteConnection) -> Result<()> {
    sqlx::query(
        "UPDATE document_version SET state = 'ready' WHERE state = 'prefilling'
         AND EXISTS (SELECT 1 FROM part WHERE version_id = document_version.id)
         AND NOT EXISTS (SELECT 1 FROM part WHERE version_id = document_version.id AND state <> 'ready')",
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Part> {
    Ok(Part {
        idx: row.count("idx")?,
        tokens: row.token_span()?,
        segment: row.digest("segment")?,
        ready: row.text("state")? == "ready",
    })
}
