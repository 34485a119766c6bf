//! Table `answer`: every question accepted and what was answered, with what replay needs to give it again bit for bit.

use base::{Id, IdKind};
use serde_json::Value;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Citation, Error, Listed, Page, Result, conversation, corpus,
    page::{List, list},
    row::{Columns, words},
};

words! {
    AnswerStatus {
        /// Accepted; nothing has run.
        Queued = "queued",
        Running = "running",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub id: Id,
    pub owner: String,
    pub corpus: Id,
    /// 0 until it runs.
    pub corpus_version: u64,
    pub conversation: Option<Id>,
    /// Empty until it runs.
    pub model_fingerprint: String,
    pub question: String,
    pub mode: String,
    pub seed: u64,
    pub status: AnswerStatus,
    /// `None` until it is complete.
    pub grounding: Option<String>,
    pub text: String,
    /// `None` until it is complete, and once a document it was composed from was removed: it cannot be replayed then.
    pub plan: Option<Value>,
    pub usage: Value,
    pub detail: Value,
    /// What is needed to run it again after a crash; empty once it has ended.
    pub request: Value,
    /// Why it failed.
    pub error: Option<Value>,
    pub source_removed: bool,
    pub created_ms: u64,
    pub citations: Vec<Citation>,
}

const OF_CORPUS: List = list!("answer", "SELECT * FROM answer WHERE corpus_id = ?1", "id");

impl Catalog {
    pub async fn answer(&self, owner: &str, id: &str) -> Result<Answer> {
        let row = sqlx::query("SELECT * FROM answer WHERE id = ?1 AND owner_id = ?2")
            .bind(id)
            .bind(owner)
            .fetch_optional(self.reader())
            .await?
            .ok_or_else(|| Error::not_found("answer", id))?;
        let mut answers = [read(&row)?];
        self.attach_citations(&mut answers).await?;
        let [answer] = answers;
        Ok(answer)
    }

    /// Answers over a corpus, whatever their state.
    pub async fn list_answers(&self, owner: &str, corpus: &Id, page: &Page) -> Result<Listed<Answer>> {
        corpus::check_owner(&mut *self.reader().acquire().await?, owner, corpus).await?;
        let mut listed = OF_CORPUS.page(self.reader(), corpus.as_str(), page, read).await?;
        self.attach_citations(&mut listed.items).await?;
        Ok(listed)
    }

    /// The answers of a conversation, oldest first, whatever their state.
    pub async fn answers_of(&self, owner: &str, conversation: &Id) -> Result<Vec<Answer>> {
        conversation::find(&mut *self.reader().acquire().await?, owner, conversation.as_str()).await?;
        let rows = sqlx::query("SELECT * FROM answer WHERE conversation_id = ?1 ORDER BY id")
            .bind(conversation.as_str())
            .fetch_all(self.reader())
            .await?;
        let mut answers = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        self.attach_citations(&mut answers).await?;
        Ok(answers)
    }

    /// Answers of every owner that were queued or running when their process ended, oldest first.
    pub async fn unfinished_answers(&self) -> Result<Vec<Answer>> {
        let rows = sqlx::query("SELECT * FROM answer WHERE status IN ('queued', 'running') ORDER BY id")
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Deletes an answer with everything that was kept of it. Also empties the write-ahead log, which still holds
    /// the deleted rows.
    pub async fn delete_answer(&self, owner: &str, id: &str) -> Result<()> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM answer WHERE id = ?1 AND owner_id = ?2")
            .bind(id)
            .bind(owner)
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            return Err(Error::not_found("answer", id));
        }
        tx.commit().await?;
        self.checkpoint().await?;
        Ok(())
    }

    async fn attach_citations(&self, answers: &mut [Answer]) -> Result<()> {
        let mut citations = self.citations(answers.iter().map(|answer| &answer.id)).await?;
        for answer in answers {
            answer.citations = citations.remove(&answer.id).unwrap_or_default();
        }
        Ok(())
    }
}

/// Errors: [`Error::NotFound`] for an answer of another owner too.
pub(crate) async fn check_owner(tx: &mut SqliteConnection, owner: &str, id: &str) -> Result<()> {
    let row = sqlx::query("SELECT 1 FROM answer WHERE id = ?1 AND owner_id = ?2").bind(id).bind(owner);
    row.fetch_optional(tx).await?.map(drop).ok_or_else(|| Error::not_found("answer", id))
}

pub(crate) async fn status(tx: &mut SqliteConnection, answer: &Id) -> Result<AnswerStatus> {
    let row = sqlx::query("SELECT status FROM answer WHERE id = ?1").bind(answer.as_str());
    row.fetch_optional(tx).await?.ok_or_else(|| Error::not_found("answer", answer))?.word("status")
}

/// Forgets what was said while the answer ran, and the replies that repeat it.
pub(crate) async fn forget_copies(tx: &mut SqliteConnection, answer: &Id) -> Result<()> {
    for sql in
        ["DELETE FROM answer_event WHERE answer_id = ?1", "DELETE FROM idempotency WHERE answer_id = ?1"]
    {
        sqlx::query(sql).bind(answer.as_str()).execute(&mut *tx).await?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Answer> {
    let conversation = row.opt_text("conversation_id")?;
    Ok(Answer {
        id: row.id(IdKind::Answer, "id")?,
        owner: row.text("owner_id")?,
        corpus: row.id(IdKind::Corpus, "corpus_id")?,
        corpus_version: row.count("corpus_version")?,
        conversation: conversation.map(|_| row.id(IdKind::Conversation, "conversation_id")).transpose()?,
        model_fingerprint: row.text("model_fingerprint")?,
        question: row.text("question")?,
        mode: row.text("mode")?,
        seed: row.try_get::<i64, _>("seed")?.cast_unsigned(),
        status: row.word("status")?,
        grounding: Some(row.text("grounding")?).filter(|word| !word.is_empty()),
        text: row.text("text")?,
        plan: row.opt_json("plan")?,
        usage: row.json("usage")?,
        detail: row.json("detail")?,
        request: row.json("request")?,
        error: row.opt_json("error")?,
        source_removed: row.flag("source_removed")?,
        created_ms: row.count("created_ms")?,
        citations: Vec::new(),
    })
}
