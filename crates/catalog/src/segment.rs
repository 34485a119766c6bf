//! Table `segment`: KV segments that are durable on disk.

use crate::{
    Catalog, Digest, PartRef, Result, VersionId, part,
    row::{Columns, int},
};

impl Catalog {
    /// Registers a durable segment and marks every part that needs it ready, in one commit. A segment that no part
    /// needs any more is registered as dropped, so that the next sweep deletes its file.
    pub async fn register_segment(&self, segment: Digest, bytes: u64) -> Result<()> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO segment (digest, bytes, state)
             SELECT ?1, ?2, CASE WHEN EXISTS (SELECT 1 FROM part WHERE segment = ?1) THEN 'live' ELSE 'dropped' END
             WHERE true ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes, state = excluded.state",
        )
        .bind(&segment.0[..])
        .bind(int("segment bytes", bytes)?)
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE part SET state = 'ready' WHERE segment = ?1")
            .bind(&segment.0[..])
            .execute(&mut *tx)
            .await?;
        part::finish_versions(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Size of a live segment; `None` when it has to be prefilled.
    pub async fn segment_bytes(&self, segment: Digest) -> Result<Option<u64>> {
        let row = sqlx::query("SELECT bytes FROM segment WHERE digest = ?1 AND state = 'live'")
            .bind(&segment.0[..])
            .fetch_optional(self.reader())
            .await?;
        row.map(|r| r.count("bytes")).transpose()
    }

    /// Forgets a segment whose file was found damaged and set aside. Its parts have to be prefilled again; they are
    /// returned. Their document versions stay as they are: the text and its citations are sound.
    pub async fn forget_segment(&self, segment: Digest) -> Result<Vec<PartRef>> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM segment WHERE digest = ?1").bind(&segment.0[..]).execute(&mut *tx).await?;
        let rows =
            sqlx::query("UPDATE part SET state = 'planned' WHERE segment = ?1 RETURNING version_id, idx")
                .bind(&segment.0[..])
                .fetch_all(&mut *tx)
                .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok(PartRef { version: VersionId(row.count("version_id")?), idx: row.count("idx")? }))
            .collect()
    }
}
