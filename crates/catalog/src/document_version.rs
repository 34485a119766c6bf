//! Table `document_version`: one state of a document's bytes, from queued to ready, and the corpus versions it shows in.

use base::{Id, IdKind};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::{
    Blob, BlobKind, Catalog, Digest, Document, Error, File, Result,
    document::{self, select_documents},
    file::register_blob,
    row::{Columns, int, words},
};

words! {
    /// Where a document version stands. Only `ready` may be composed and cited.
    State {
        Queued = "queued",
        Extracting = "extracting",
        Prefilling = "prefilling",
        Ready = "ready",
        NeedsOcr = "needs_ocr",
        NeedsPassword = "needs_password",
        Failed = "failed",
        Deleting = "deleting",
    }
}

impl State {
    /// Nothing more will happen to the version by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::NeedsOcr | Self::NeedsPassword | Self::Failed)
    }
}

/// Row number of a document version; never reused, so it is the key of the passage index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(pub u64);

#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub id: VersionId,
    pub document: Id,
    pub file: File,
    /// Where on disk the file was found; see [`crate::FoundFile`].
    pub place: Option<String>,
    /// 1, 2, … within the document.
    pub number: u64,
    pub title: String,
    pub media_type: String,
    pub state: State,
    /// `None` before extraction and when there was nothing to extract.
    pub stored: Option<StoredText>,
    /// Code points of the canonical text.
    pub characters: u64,
    pub pages: u64,
    pub tokens: u64,
    /// JSON array of warnings.
    pub warnings: Value,
    /// JSON of the typed reason when the state is a refusal.
    pub error: Option<Value>,
    /// First corpus version that shows it; `None` while staged.
    pub visible_from: Option<u64>,
    /// First corpus version that no longer shows it.
    pub visible_to: Option<u64>,
    /// When it was added: the date its header carries, Unix milliseconds.
    pub created_ms: u64,
}

/// Names of the files that hold a version's text and what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredText {
    pub text: Digest,
    pub pages: Option<Digest>,
    pub boxes: Option<Digest>,
    pub tokens: Option<Digest>,
}

/// What extraction and tokenisation found. Every blob is durable on disk before this is registered.
#[derive(Debug, Clone)]
pub struct Extraction {
    pub title: String,
    pub media_type: String,
    /// [`State::Prefilling`] when there is text to read, else the refusal (`needs_ocr`, `needs_password`, `failed`).
    pub state: State,
    pub text: Option<Blob>,
    pub pages_blob: Option<Blob>,
    pub boxes: Option<Blob>,
    pub tokens_blob: Option<Blob>,
    pub characters: u64,
    pub pages: u64,
    pub tokens: u64,
    pub warnings: Value,
    pub error: Option<Value>,
}

impl Catalog {
    /// One document version with its document, visible or not.
    pub async fn version(&self, version: VersionId) -> Result<Document> {
        let row = sqlx::query(select_documents!("WHERE v.id = ?1"))
            .bind(int("version", version.0)?)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref()
            .map(document::read)
            .transpose()?
            .ok_or_else(|| Error::not_found("document version", version.0))
    }

    /// Moves a staged version to another state (`extracting` when a worker takes it).
    pub async fn set_state(&self, version: VersionId, state: State) -> Result<()> {
        let mut tx = self.write().await?;
        let done = sqlx::query("UPDATE document_version SET state = ?2 WHERE id = ?1")
            .bind(int("version", version.0)?)
            .bind(state.as_str())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Err(Error::not_found("document version", version.0));
        }
        Ok(tx.commit().await?)
    }

    /// Records what extraction found, or why there is nothing.
    pub async fn register_extraction(&self, version: VersionId, found: &Extraction) -> Result<()> {
        let mut tx = self.write().await?;
        let blobs = [
            (BlobKind::Text, found.text),
            (BlobKind::Pages, found.pages_blob),
            (BlobKind::Boxes, found.boxes),
            (BlobKind::Tokens, found.tokens_blob),
        ];
        for (kind, blob) in blobs {
            if let Some(blob) = blob {
                register_blob(&mut tx, kind, blob).await?;
            }
        }
        let digest = |blob: Option<Blob>| blob.map(|b| b.digest.0.to_vec());
        let done = sqlx::query(
            "UPDATE document_version SET title = ?2, media_type = ?3, state = ?4, text_digest = ?5, pages_digest = ?6,
                 boxes_digest = ?7, tokens_digest = ?8, characters = ?9, pages = ?10, tokens = ?11, warnings = ?12,
                 error = ?13 WHERE id = ?1",
        )
        .bind(int("version", version.0)?)
        .bind(&found.title)
        .bind(&found.media_type)
        .bind(found.state.as_str())
        .bind(digest(found.text))
        .bind(digest(found.pages_blob))
        .bind(digest(found.boxes))
        .bind(digest(found.tokens_blob))
        .bind(int("characters", found.characters)?)
        .bind(int("pages", found.pages)?)
        .bind(int("tokens", found.tokens)?)
        .bind(found.warnings.to_string())
        .bind(found.error.as_ref().map(Value::to_string))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(Error::not_found("document version", version.0));
        }
        Ok(tx.commit().await?)
    }
}

pub(crate) fn read(row: &SqliteRow) -> Result<Version> {
    let stored = row
        .opt_digest("text_digest")?
        .map(|text| {
            Ok::<_, Error>(StoredText {
                text,
                pages: row.opt_digest("pages_digest")?,
                boxes: row.opt_digest("boxes_digest")?,
                tokens: row.opt_digest("tokens_digest")?,
            })
        })
        .transpose()?;
    Ok(Version {
        id: VersionId(row.count("id")?),
        document: row.id(IdKind::Document, "document_id")?,
        file: File {
            id: row.id(IdKind::File, "file_id")?,
            sha256: row.digest("sha256")?,
            bytes: row.count("bytes")?,
        },
        place: row.opt_text("place")?,
        number: row.count("number")?,
        title: row.text("title")?,
        media_type: row.text("media_type")?,
        state: row.word("state")?,
        stored,
        characters: row.count("characters")?,
        pages: row.count("pages")?,
        tokens: row.count("tokens")?,
        warnings: row.json("warnings")?,
        error: row.opt_json("error")?,
        visible_from: row.opt_count("visible_from")?,
        visible_to: row.opt_count("visible_to")?,
        created_ms: row.count("created_ms")?,
    })
}
