//! Table `document`: a path inside a corpus, with the version a question sees.

use base::{Id, IdKind};
use sqlx::sqlite::SqliteRow;

use crate::{
    Catalog, Error, Listed, Page, Result, Version, corpus, document_version,
    page::{List, list},
    row::Columns,
};

/// A document as one corpus version shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub id: Id,
    pub corpus: Id,
    pub path: String,
    pub created_ms: u64,
    pub version: Version,
}

/// Columns that [`read`] expects, over `document d`, `document_version v`, `file f`.
macro_rules! select_documents {
    ($rest:literal) => {
        concat!(
            "SELECT d.id AS doc_id, d.corpus_id, d.path, d.created_ms AS doc_created_ms, v.*, f.sha256, f.bytes ",
            "FROM document d JOIN document_version v ON v.document_id = d.id JOIN file f ON f.id = v.file_id ",
            $rest
        )
    };
}
pub(crate) use select_documents;

/// Each document once: as the newest corpus version shows it, or as an unfinished job has staged it since.
const OF_CORPUS: List = list!(
    "document",
    select_documents!(
        "WHERE d.corpus_id = ?1 AND v.visible_to IS NULL AND v.number =
             (SELECT max(number) FROM document_version WHERE document_id = d.id AND visible_to IS NULL)"
    ),
    "d.id"
);

impl Catalog {
    /// The documents of one corpus version, by path, whatever their state.
    pub async fn documents(&self, corpus: &Id, corpus_version: u64) -> Result<Vec<Document>> {
        let rows = sqlx::query(select_documents!(
            "WHERE d.corpus_id = ?1 AND v.visible_from <= ?2 AND (v.visible_to IS NULL OR v.visible_to > ?2)
             ORDER BY d.path"
        ))
        .bind(corpus.as_str())
        .bind(i64::try_from(corpus_version).unwrap_or(i64::MAX))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(read).collect()
    }

    /// One visible document of the newest version, by id or by path; an id wins.
    pub async fn document(&self, corpus: &Id, id_or_path: &str) -> Result<Document> {
        let row = sqlx::query(select_documents!(
            "WHERE d.corpus_id = ?1 AND (d.id = ?2 OR d.path = ?2)
               AND v.visible_from IS NOT NULL AND v.visible_to IS NULL ORDER BY d.id = ?2 DESC LIMIT 1"
        ))
        .bind(corpus.as_str())
        .bind(id_or_path)
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("document", id_or_path))
    }

    /// Documents of a corpus, those too that are still being read, by age.
    pub async fn list_documents(&self, owner: &str, corpus: &Id, page: &Page) -> Result<Listed<Document>> {
        corpus::check_owner(&mut *self.reader().acquire().await?, owner, corpus).await?;
        OF_CORPUS.page(self.reader(), corpus.as_str(), page, read).await
    }

    /// How many documents the corpus would have with these paths, those that are still being read counted too.
    pub async fn documents_with(&self, corpus: &Id, paths: &[String]) -> Result<u64> {
        let paths = serde_json::Value::from_iter(paths.iter().map(String::as_str));
        let row = sqlx::query(
            "SELECT count(*) AS documents FROM (
                 SELECT d.path FROM document d JOIN document_version v ON v.document_id = d.id
                 WHERE d.corpus_id = ?1 AND v.visible_to IS NULL
                 UNION SELECT value FROM json_each(?2))",
        )
        .bind(corpus.as_str())
        .bind(paths.to_string())
        .fetch_one(self.reader())
        .await?;
        row.count("documents")
    }

    /// One document of an owner in its newest version, visible or staged.
    pub async fn document_of(&self, owner: &str, id: &str) -> Result<Document> {
        let row = sqlx::query(select_documents!(
            "WHERE d.id = ?1 AND d.owner_id = ?2 AND v.visible_to IS NULL ORDER BY v.number DESC LIMIT 1"
        ))
        .bind(id)
        .bind(owner)
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("document", id))
    }

    /// The documents of an owner that are this file, visible or staged; newest first, never none. They say which
    /// corpora the file can be reached through and what it is called there.
    pub async fn file_of(&self, owner: &str, file: &str) -> Result<Vec<Document>> {
        let rows = sqlx::query(select_documents!(
            "WHERE f.id = ?1 AND f.owner_id = ?2 AND d.owner_id = ?2 AND v.visible_to IS NULL ORDER BY v.id DESC"
        ))
        .bind(file)
        .bind(owner)
        .fetch_all(self.reader())
        .await?;
        if rows.is_empty() { Err(Error::not_found("file", file)) } else { rows.iter().map(read).collect() }
    }

    /// The documents a job has staged but not yet published, by path.
    pub async fn staged(&self, job: &Id) -> Result<Vec<Document>> {
        let rows =
            sqlx::query(select_documents!("WHERE v.job_id = ?1 AND v.visible_from IS NULL ORDER BY d.path"))
                .bind(job.as_str())
                .fetch_all(self.reader())
                .await?;
        rows.iter().map(read).collect()
    }
}

pub(crate) fn read(row: &SqliteRow) -> Result<Document> {
    Ok(Document {
        id: row.id(IdKind::Document, "doc_id")?,
        corpus: row.id(IdKind::Corpus, "corpus_id")?,
        path: row.text("path")?,
        created_ms: row.count("doc_created_ms")?,
        version: document_version::read(row)?,
    })
}
