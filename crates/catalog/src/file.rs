//! Tables `file` and `blob`: what an owner gave us, and every content-addressed file behind it.

use base::{Id, IdKind};
use sqlx::SqliteConnection;

use crate::{
    Catalog, Digest, Result,
    row::{Columns, int, mint, now_ms, words},
};

words! {
    /// What a content-addressed file holds; also its folder on disk.
    BlobKind {
        /// The user's bytes, named by SHA-256.
        Original = "original",
        /// Canonical text, UTF-8.
        Text = "text",
        /// Page marks of a text.
        Pages = "pages",
        /// Character boxes of a text.
        Boxes = "boxes",
        /// Token stream of a text.
        Tokens = "tokens",
    }
}

/// A content-addressed file that is durable on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    pub digest: Digest,
    pub bytes: u64,
}

/// An original, durable on disk under its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewFile {
    pub sha256: Digest,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub id: Id,
    pub sha256: Digest,
    pub bytes: u64,
}

impl Catalog {
    /// The owner's file with these bytes. Says nothing of files of other owners.
    pub async fn file_with_bytes(&self, owner: &str, sha256: Digest) -> Result<Option<File>> {
        let row = sqlx::query("SELECT * FROM file WHERE owner_id = ?1 AND sha256 = ?2")
            .bind(owner)
            .bind(&sha256.0[..])
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| {
            let id = row.id(IdKind::File, "id")?;
            Ok(File { id, sha256: row.digest("sha256")?, bytes: row.count("bytes")? })
        })
        .transpose()
    }
}

/// Registers a durable file; one that was about to be deleted lives again.
pub(crate) async fn register_blob(tx: &mut SqliteConnection, kind: BlobKind, blob: Blob) -> Result<()> {
    sqlx::query(
        "INSERT INTO blob (kind, digest, bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind, digest) DO UPDATE SET state = 'live', bytes = excluded.bytes",
    )
    .bind(kind.as_str())
    .bind(&blob.digest.0[..])
    .bind(int("blob bytes", blob.bytes)?)
    .execute(tx)
    .await?;
    Ok(())
}

/// The owner's file with these bytes, made when it is new.
pub(crate) async fn register_file(tx: &mut SqliteConnection, owner: &str, file: NewFile) -> Result<Id> {
    register_blob(tx, BlobKind::Original, Blob { digest: file.sha256, bytes: file.bytes }).await?;
    let row = sqlx::query(
        "INSERT INTO file (id, owner_id, sha256, bytes, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (owner_id, sha256) DO UPDATE SET bytes = excluded.bytes RETURNING id",
    )
    .bind(mint(IdKind::File).as_str())
    .bind(owner)
    .bind(&file.sha256.0[..])
    .bind(int("file bytes", file.bytes)?)
    .bind(now_ms() as i64)
    .fetch_one(tx)
    .await?;
    row.id(IdKind::File, "id")
}
