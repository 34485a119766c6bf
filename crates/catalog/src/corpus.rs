//! Table `corpus`: named sets of documents, each with the version questions see and the model its KV belongs to.

use base::{Id, IdKind};
use serde_json::Value;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Error, Listed, Page, Result,
    page::{List, list},
    row::{Columns, mint, now_ms},
};

/// The model a corpus was prefilled with; segments of another model are never mixed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    pub name: String,
    pub fingerprint: String,
    pub kv_dtype: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    pub id: Id,
    pub owner: String,
    pub name: String,
    /// Newest visible version; 0 before the first publish.
    pub version: u64,
    /// `None` until the first ingest binds one.
    pub model: Option<ModelIdentity>,
    pub metadata: Value,
    /// When a question was last asked of it.
    pub last_asked_ms: Option<u64>,
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// Sums over the documents visible in the newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CorpusCounts {
    pub documents: u64,
    pub ready: u64,
    /// Documents in state `failed`, `needs_ocr` or `needs_password`.
    pub failed: u64,
    pub pages: u64,
    pub characters: u64,
    pub tokens: u64,
}

/// Bytes of the distinct files behind the newest version; bytes shared with other corpora are counted here too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CorpusStorage {
    pub source_bytes: u64,
    pub text_bytes: u64,
    pub kv_bytes: u64,
}

const OF_OWNER: List = list!("corpus", "SELECT * FROM corpus WHERE owner_id = ?1", "id");

impl Catalog {
    /// Errors: [`Error::NameTaken`] when the owner has a corpus of this name.
    pub async fn create_corpus(&self, owner: &str, name: &str) -> Result<Corpus> {
        let (id, now) = (mint(IdKind::Corpus), now_ms());
        let mut tx = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO corpus (id, owner_id, name, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (owner_id, name) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(owner)
        .bind(name)
        .bind(now as i64)
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Err(Error::NameTaken { name: name.to_owned() });
        }
        tx.commit().await?;
        self.corpus(owner, id.as_str()).await
    }

    /// Finds by id or by name; an id wins.
    pub async fn corpus(&self, owner: &str, id_or_name: &str) -> Result<Corpus> {
        let row = sqlx::query(
            "SELECT * FROM corpus WHERE owner_id = ?1 AND (id = ?2 OR name = ?2) ORDER BY id = ?2 DESC LIMIT 1",
        )
        .bind(owner)
        .bind(id_or_name)
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("corpus", id_or_name))
    }

    /// The corpora of every owner with their newest versions.
    pub async fn corpus_versions(&self) -> Result<Vec<(Id, u64)>> {
        let rows = sqlx::query("SELECT id, version FROM corpus").fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((row.id(IdKind::Corpus, "id")?, row.count("version")?))).collect()
    }

    /// All corpora of an owner, by name.
    pub async fn corpora(&self, owner: &str) -> Result<Vec<Corpus>> {
        let rows = sqlx::query("SELECT * FROM corpus WHERE owner_id = ?1 ORDER BY name")
            .bind(owner)
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Corpora of an owner, by age.
    pub async fn list_corpora(&self, owner: &str, page: &Page) -> Result<Listed<Corpus>> {
        OF_OWNER.page(self.reader(), owner, page, read).await
    }

    /// Ties the corpus to a model the first time; afterwards only checks.
    ///
    /// Errors: [`Error::DifferentModel`] when its KV belongs to another model or KV type.
    pub async fn bind_model(&self, corpus: &Id, model: &ModelIdentity) -> Result<()> {
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT * FROM corpus WHERE id = ?1")
            .bind(corpus.as_str())
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::not_found("corpus", corpus))?;
        let found = read(&row)?;
        match found.model {
            Some(bound) if bound.fingerprint == model.fingerprint && bound.kv_dtype == model.kv_dtype => {
                Ok(())
            }
            Some(bound) => Err(Error::DifferentModel {
                corpus: found.name,
                expected: format!("{} ({}, {} KV)", bound.name, bound.fingerprint, bound.kv_dtype),
                got: format!("{} ({}, {} KV)", model.name, model.fingerprint, model.kv_dtype),
            }),
            None => {
                sqlx::query(
                    "UPDATE corpus SET model_name = ?2, model_fingerprint = ?3, kv_dtype = ?4, updated_ms = ?5 WHERE id = ?1",
                )
                .bind(corpus.as_str())
                .bind(&model.name)
                .bind(&model.fingerprint)
                .bind(&model.kv_dtype)
                .bind(now_ms() as i64)
                .execute(&mut *tx)
                .await?;
                Ok(tx.commit().await?)
            }
        }
    }

    /// A JSON object of whoever made the corpus; nothing here reads it.
    pub async fn set_metadata(&self, corpus: &Id, metadata: &Value) -> Result<()> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE corpus SET metadata = ?2, updated_ms = ?3 WHERE id = ?1")
            .bind(corpus.as_str())
            .bind(metadata.to_string())
            .bind(now_ms() as i64)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    pub async fn corpus_counts(&self, corpus: &Id) -> Result<CorpusCounts> {
        let row = sqlx::query(
            "SELECT count(*) AS documents, coalesce(sum(v.state = 'ready'), 0) AS ready,
                    coalesce(sum(v.state IN ('failed', 'needs_ocr', 'needs_password')), 0) AS failed,
                    coalesce(sum(v.pages), 0) AS pages, coalesce(sum(v.characters), 0) AS characters,
                    coalesce(sum(v.tokens), 0) AS tokens
             FROM document d JOIN document_version v ON v.document_id = d.id
             WHERE d.corpus_id = ?1 AND v.visible_from IS NOT NULL AND v.visible_to IS NULL",
        )
        .bind(corpus.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(CorpusCounts {
            documents: row.count("documents")?,
            ready: row.count("ready")?,
            failed: row.count("failed")?,
            pages: row.count("pages")?,
            characters: row.count("characters")?,
            tokens: row.count("tokens")?,
        })
    }

    pub async fn corpus_storage(&self, corpus: &Id) -> Result<CorpusStorage> {
        let row = sqlx::query(
            "WITH live AS (SELECT v.* FROM document d JOIN document_version v ON v.document_id = d.id
                           WHERE d.corpus_id = ?1 AND v.visible_from IS NOT NULL AND v.visible_to IS NULL)
             SELECT coalesce((SELECT sum(bytes) FROM file WHERE id IN (SELECT file_id FROM live)), 0) AS source_bytes,
                    coalesce((SELECT sum(bytes) FROM blob
                              WHERE kind = 'text' AND digest IN (SELECT text_digest FROM live)), 0) AS text_bytes,
                    coalesce((SELECT sum(bytes) FROM segment WHERE digest IN
                              (SELECT segment FROM part WHERE version_id IN (SELECT id FROM live))), 0) AS kv_bytes",
        )
        .bind(corpus.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(CorpusStorage {
            source_bytes: row.count("source_bytes")?,
            text_bytes: row.count("text_bytes")?,
            kv_bytes: row.count("kv_bytes")?,
        })
    }
}

/// Errors: [`Error::NotFound`] for a corpus of another owner too.
pub(crate) async fn check_owner(tx: &mut SqliteConnection, owner: &str, corpus: &Id) -> Result<()> {
    let row = sqlx::query("SELECT 1 FROM corpus WHERE id = ?1 AND owner_id = ?2").bind(corpus.as_str());
    row.bind(owner).fetch_optional(tx).await?.map(drop).ok_or_else(|| Error::not_found("corpus", corpus))
}

fn read(row: &SqliteRow) -> Result<Corpus> {
    let model =
        match (row.opt_text("model_name")?, row.opt_text("model_fingerprint")?, row.opt_text("kv_dtype")?) {
            (Some(name), Some(fingerprint), Some(kv_dtype)) => {
                Some(ModelIdentity { name, fingerprint, kv_dtype })
            }
            _ => None,
        };
    Ok(Corpus {
        id: row.id(IdKind::Corpus, "id")?,
        owner: row.text("owner_id")?,
        name: row.text("name")?,
        version: row.count("version")?,
        model,
        metadata: row.json("metadata")?,
        last_asked_ms: row.opt_count("last_asked_ms")?,
        created_ms: row.count("created_ms")?,
        updated_ms: row.count("updated_ms")?,
    })
}
