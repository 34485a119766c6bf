//! Which documents stand on a content-addressed file.

use sqlx::sqlite::SqliteRow;

use crate::{BlobKind, Catalog, Object, Result, row::Columns};

/// A document of any owner as one would name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Name of its corpus.
    pub corpus: String,
    pub path: String,
}

/// Documents in their newest version, visible or staged, for which the condition holds.
macro_rules! holders {
    ($condition:literal) => {
        concat!(
            "SELECT DISTINCT c.name AS corpus, d.path FROM document_version v
             JOIN document d ON d.id = v.document_id JOIN corpus c ON c.id = d.corpus_id
             WHERE v.visible_to IS NULL AND ",
            $condition,
            " ORDER BY c.name, d.path"
        )
    };
}

impl Catalog {
    /// The documents that need a file, by corpus and path.
    pub async fn holders(&self, object: Object) -> Result<Vec<Holder>> {
        let (sql, digest) = match object {
            Object::Segment(digest) => {
                (holders!("v.id IN (SELECT version_id FROM part WHERE segment = ?1)"), digest)
            }
            Object::Blob(kind, digest) => {
                let sql = match kind {
                    BlobKind::Original => holders!("v.file_id IN (SELECT id FROM file WHERE sha256 = ?1)"),
                    BlobKind::Text => holders!("v.text_digest = ?1"),
                    BlobKind::Pages => holders!("v.pages_digest = ?1"),
                    BlobKind::Boxes => holders!("v.boxes_digest = ?1"),
                    BlobKind::Tokens => holders!("v.tokens_digest = ?1"),
                };
                (sql, digest)
            }
        };
        let rows = sqlx::query(sql).bind(digest.0.to_vec()).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }

    /// Documents that were read and lack some of their KV: it was lost or set aside, and not computed again yet.
    pub async fn holders_without_kv(&self) -> Result<Vec<Holder>> {
        let sql =
            holders!("v.state = 'ready' AND v.id IN (SELECT version_id FROM part WHERE state <> 'ready')");
        let rows = sqlx::query(sql).fetch_all(self.reader()).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &SqliteRow) -> Result<Holder> {
    Ok(Holder { corpus: row.text("corpus")?, path: row.text("path")? })
}
