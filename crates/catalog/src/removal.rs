//! Taking things away: rows go in one commit, which names every file whose last reference went; the caller deletes
//! those files and confirms. A crash in between leaves `dropped` rows, which the sweep at open hands out again.
//!
//! The caller must not write and delete content-addressed files at the same time (one lock for both): a digest that
//! is registered again before its file was deleted lives on, and only then.

use std::collections::HashSet;

use base::Id;
use sqlx::SqliteConnection;

use crate::{
    BlobKind, Catalog, Digest, Document, Error, Result, citation, ingest, job,
    row::{Columns, int, now_ms},
};

/// A content-addressed file by its place on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    Blob(BlobKind, Digest),
    Segment(Digest),
}

/// A file to delete. `bytes` is 0 for a file the catalog never knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    pub object: Object,
    pub bytes: u64,
}

/// Files whose last reference went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    pub files: Vec<Dropped>,
    pub bytes: u64,
}

impl Catalog {
    /// Removes a document with all its versions: the next corpus version begins without it, quotes from it are
    /// scrubbed, its rows are deleted. Returns the new corpus version and the files to delete.
    pub async fn remove_document(&self, document: &Document) -> Result<(u64, Freed)> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM document WHERE id = ?1")
            .bind(document.id.as_str())
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            return Err(Error::not_found("document", &document.id));
        }
        citation::scrub_document(&mut tx, &document.id).await?;
        let version = ingest::raise_version(&mut tx, &document.corpus).await?;
        let freed = drop_unreferenced(&mut tx).await?;
        tx.commit().await?;
        Ok((version, freed))
    }

    /// Removes a corpus with its documents and its answers; its unfinished jobs are cancelled.
    pub async fn remove_corpus(&self, corpus: &Id) -> Result<Freed> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE job SET state = 'cancelled', finished_ms = ?2
             WHERE corpus_id = ?1 AND state IN ('queued', 'running')",
        )
        .bind(corpus.as_str())
        .bind(now_ms() as i64)
        .execute(&mut *tx)
        .await?;
        let gone =
            sqlx::query("DELETE FROM corpus WHERE id = ?1").bind(corpus.as_str()).execute(&mut *tx).await?;
        if gone.rows_affected() == 0 {
            return Err(Error::not_found("corpus", corpus));
        }
        let freed = drop_unreferenced(&mut tx).await?;
        tx.commit().await?;
        Ok(freed)
    }

    /// Throws away what a job staged and cancels it, one that failed too.
    ///
    /// Errors: [`Error::JobFinished`] when it has succeeded or was cancelled.
    pub async fn discard(&self, job: &Id) -> Result<Freed> {
        let mut tx = self.write().await?;
        job::cancel(&mut tx, job).await?;
        sqlx::query("DELETE FROM document_version WHERE job_id = ?1 AND visible_from IS NULL")
            .bind(job.as_str())
            .execute(&mut *tx)
            .await?;
        let freed = drop_unreferenced(&mut tx).await?;
        tx.commit().await?;
        Ok(freed)
    }

    /// Deletes document versions that no question can see any more: those hidden since `oldest_in_use` or before,
    /// the oldest corpus version a running question began on (the newest version when none runs).
    pub async fn collect(&self, corpus: &Id, oldest_in_use: u64) -> Result<Freed> {
        let mut tx = self.write().await?;
        sqlx::query(
            "DELETE FROM document_version WHERE visible_to <= ?2
             AND document_id IN (SELECT id FROM document WHERE corpus_id = ?1)",
        )
        .bind(corpus.as_str())
        .bind(int("corpus version", oldest_in_use)?)
        .execute(&mut *tx)
        .await?;
        let freed = drop_unreferenced(&mut tx).await?;
        tx.commit().await?;
        Ok(freed)
    }

    /// The caller has deleted these files. Ones that were registered again meanwhile keep their rows. Also empties
    /// the write-ahead log, which still holds the deleted rows.
    pub async fn confirm_deleted(&self, freed: &Freed) -> Result<()> {
        let mut tx = self.write().await?;
        for file in &freed.files {
            match file.object {
                Object::Blob(kind, digest) => {
                    sqlx::query("DELETE FROM blob WHERE kind = ?1 AND digest = ?2 AND state = 'dropped'")
                        .bind(kind.as_str())
                        .bind(digest.0.to_vec())
                }
                Object::Segment(digest) => {
                    sqlx::query("DELETE FROM segment WHERE digest = ?1 AND state = 'dropped'")
                        .bind(digest.0.to_vec())
                }
            }
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        self.checkpoint().await?;
        Ok(())
    }

    /// What a crash left behind, for the sweep at open: dropped rows never confirmed, and files of `on_disk` that no
    /// row names (written, but the process ended before their commit). Delete them, then confirm.
    pub async fn orphans(&self, on_disk: &[Object]) -> Result<Freed> {
        let mut freed = pending(&mut *self.reader().acquire().await?).await?;
        let live = self.live_objects().await?;
        let dropped: HashSet<Object> = freed.files.iter().map(|file| file.object).collect();
        freed.files.extend(
            on_disk
                .iter()
                .filter(|object| !live.contains(object) && !dropped.contains(object))
                .map(|object| Dropped { object: *object, bytes: 0 }),
        );
        Ok(freed)
    }

    /// Every content-addressed file that must be on disk.
    pub async fn live_objects(&self) -> Result<HashSet<Object>> {
        let mut live = HashSet::new();
        let blobs = sqlx::query("SELECT kind, digest FROM blob WHERE state = 'live'");
        for row in blobs.fetch_all(self.reader()).await? {
            live.insert(Object::Blob(row.word("kind")?, row.digest("digest")?));
        }
        let segments = sqlx::query("SELECT digest FROM segment WHERE state = 'live'");
        for row in segments.fetch_all(self.reader()).await? {
            live.insert(Object::Segment(row.digest("digest")?));
        }
        Ok(live)
    }
}

/// Cleans up behind any deletion: documents without versions, files without documents, and the content-addressed
/// files that nothing names; the latter are marked dropped and returned.
async fn drop_unreferenced(tx: &mut SqliteConnection) -> Result<Freed> {
    for sql in [
        "DELETE FROM document WHERE NOT EXISTS (SELECT 1 FROM document_version WHERE document_id = document.id)",
        "DELETE FROM file WHERE NOT EXISTS (SELECT 1 FROM document_version WHERE file_id = file.id)",
        "UPDATE blob SET state = 'dropped' WHERE state = 'live' AND NOT CASE kind
             WHEN 'original' THEN EXISTS (SELECT 1 FROM file WHERE sha256 = blob.digest)
             WHEN 'text' THEN EXISTS (SELECT 1 FROM document_version WHERE text_digest = blob.digest)
             WHEN 'pages' THEN EXISTS (SELECT 1 FROM document_version WHERE pages_digest = blob.digest)
             WHEN 'boxes' THEN EXISTS (SELECT 1 FROM document_version WHERE boxes_digest = blob.digest)
             ELSE EXISTS (SELECT 1 FROM document_version WHERE tokens_digest = blob.digest) END",
        "UPDATE segment SET state = 'dropped'
         WHERE state = 'live' AND NOT EXISTS (SELECT 1 FROM part WHERE segment = segment.digest)",
    ] {
        sqlx::query(sql).execute(&mut *tx).await?;
    }
    pending(tx).await
}

/// Dropped rows not yet confirmed.
async fn pending(connection: &mut SqliteConnection) -> Result<Freed> {
    let mut freed = Freed::default();
    let blobs = sqlx::query("SELECT kind, digest, bytes FROM blob WHERE state = 'dropped'");
    for row in blobs.fetch_all(&mut *connection).await? {
        let object = Object::Blob(row.word("kind")?, row.digest("digest")?);
        freed.files.push(Dropped { object, bytes: row.count("bytes")? });
    }
    let segments = sqlx::query("SELECT digest, bytes FROM segment WHERE state = 'dropped'");
    for row in segments.fetch_all(connection).await? {
        freed
            .files
            .push(Dropped { object: Object::Segment(row.digest("digest")?), bytes: row.count("bytes")? });
    }
    freed.bytes = freed.files.iter().map(|file| file.bytes).sum();
    Ok(freed)
}
