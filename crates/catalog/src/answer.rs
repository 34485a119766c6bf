//! Table `answer`: every answer given, with what replay needs to give it again bit for bit.

use base::{Id, IdKind};
use serde_json::Value;
use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    Catalog, Citation, Error, Result, citation,
    row::{Columns, int, mint, now_ms},
};

/// An answer to store. `detail` is the rest of the REST object and must hold no document text: what removal has to
/// scrub lives in `text`, `plan` and `citations` alone.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAnswer {
    pub corpus: Id,
    pub corpus_version: u64,
    pub model_fingerprint: String,
    pub question: String,
    /// `auto`, `quote` or `free`.
    pub mode: String,
    pub seed: u64,
    pub status: String,
    pub grounding: String,
    pub text: String,
    pub plan: Value,
    pub usage: Value,
    pub detail: Value,
    pub citations: Vec<Citation>,
    /// The documents it was composed from, cited or not.
    pub sources: Vec<Id>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub id: Id,
    pub owner: String,
    pub corpus: Id,
    pub corpus_version: u64,
    pub model_fingerprint: String,
    pub question: String,
    pub mode: String,
    pub seed: u64,
    pub status: String,
    pub grounding: String,
    pub text: String,
    /// `None` once a document it was composed from was removed: the answer can no longer be replayed.
    pub plan: Option<Value>,
    pub usage: Value,
    pub detail: Value,
    pub source_removed: bool,
    pub created_ms: u64,
    pub citations: Vec<Citation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSummary {
    pub id: Id,
    pub corpus_version: u64,
    pub question: String,
    pub grounding: String,
    pub source_removed: bool,
    pub created_ms: u64,
}

impl Catalog {
    /// Stores an answer with its citations in one commit; gives its id and time. What it took from a document removed
    /// while it was being written is stored scrubbed.
    pub async fn insert_answer(&self, owner: &str, new: &NewAnswer) -> Result<(Id, u64)> {
        let (id, now) = (mint(IdKind::Answer), now_ms());
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO answer (id, owner_id, corpus_id, corpus_version, model_fingerprint, question, mode, seed,
                 status, grounding, text, plan, usage, detail, created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )
        .bind(id.as_str())
        .bind(owner)
        .bind(new.corpus.as_str())
        .bind(int("corpus version", new.corpus_version)?)
        .bind(&new.model_fingerprint)
        .bind(&new.question)
        .bind(&new.mode)
        .bind(new.seed.cast_signed())
        .bind(&new.status)
        .bind(&new.grounding)
        .bind(&new.text)
        .bind(new.plan.to_string())
        .bind(new.usage.to_string())
        .bind(new.detail.to_string())
        .bind(now as i64)
        .execute(&mut *tx)
        .await?;
        for citation in &new.citations {
            citation::insert(&mut tx, &id, citation).await?;
        }
        for source in &new.sources {
            citation::insert_source(&mut tx, &id, source).await?;
        }
        citation::scrub_removed_sources(&mut tx, &id).await?;
        tx.commit().await?;
        Ok((id, now))
    }

    pub async fn answer(&self, owner: &str, id: &str) -> Result<Answer> {
        let row = sqlx::query("SELECT * FROM answer WHERE id = ?1 AND owner_id = ?2")
            .bind(id)
            .bind(owner)
            .fetch_optional(self.reader())
            .await?
            .ok_or_else(|| Error::not_found("answer", id))?;
        let mut answer = read(&row)?;
        answer.citations = self.citations(&answer.id).await?;
        Ok(answer)
    }

    /// Answers given over a corpus, newest first.
    pub async fn answers(&self, owner: &str, corpus: &Id) -> Result<Vec<AnswerSummary>> {
        let rows = sqlx::query(
            "SELECT id, corpus_version, question, grounding, source_removed, created_ms FROM answer
             WHERE owner_id = ?1 AND corpus_id = ?2 ORDER BY id DESC",
        )
        .bind(owner)
        .bind(corpus.as_str())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AnswerSummary {
                    id: row.id(IdKind::Answer, "id")?,
                    corpus_version: row.count("corpus_version")?,
                    question: row.text("question")?,
                    grounding: row.text("grounding")?,
                    source_removed: row.flag("source_removed")?,
                    created_ms: row.count("created_ms")?,
                })
            })
            .collect()
    }
}

fn read(row: &SqliteRow) -> Result<Answer> {
    Ok(Answer {
        id: row.id(IdKind::Answer, "id")?,
        owner: row.text("owner_id")?,
        corpus: row.id(IdKind::Corpus, "corpus_id")?,
        corpus_version: row.count("corpus_version")?,
        model_fingerprint: row.text("model_fingerprint")?,
        question: row.text("question")?,
        mode: row.text("mode")?,
        seed: row.try_get::<i64, _>("seed")?.cast_unsigned(),
        status: row.text("status")?,
        grounding: row.text("grounding")?,
        text: row.text("text")?,
        plan: row.opt_json("plan")?,
        usage: row.json("usage")?,
        detail: row.json("detail")?,
        source_removed: row.flag("source_removed")?,
        created_ms: row.count("created_ms")?,
        citations: Vec::new(),
    })
}
