//! An answer from the question accepted to the last word: queued, running, then completed, failed or cancelled. A
//! crash leaves it queued or running; it is then restarted under the same id.

use base::{Id, IdKind};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use crate::{
    AnswerStatus, Catalog, Citation, Error, Result, answer, citation, conversation, corpus,
    row::{Columns, int, mint, now_ms},
};

/// A question about to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct NewQuestion {
    pub corpus: Id,
    pub conversation: Option<Id>,
    pub question: String,
    /// `auto`, `quote` or `free`.
    pub mode: String,
    pub seed: u64,
    /// Whatever is needed to run it again after a crash, kept until it ends. Document text may stand in its `history`
    /// alone: earlier turns that the catalog does not hold.
    pub request: Value,
}

/// A complete answer to store. `detail` is the rest of the REST object and must hold no document text: what removal
/// has to scrub lives in `text`, `plan` and `citations` alone.
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

impl Catalog {
    /// Stores a question before anything runs; gives the id of its answer, and its time.
    ///
    /// Errors: [`Error::NotFound`] for a corpus of another owner or a conversation about another corpus.
    pub async fn accept_answer(&self, owner: &str, new: &NewQuestion) -> Result<(Id, u64)> {
        let mut tx = self.write().await?;
        let accepted = accept(&mut tx, owner, new).await?;
        tx.commit().await?;
        Ok(accepted)
    }

    /// Notes what a queued answer runs on.
    ///
    /// Errors: [`Error::AnswerFinished`] when it was cancelled meanwhile or runs already.
    pub async fn start_answer(
        &self,
        answer: &Id,
        corpus_version: u64,
        model_fingerprint: &str,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE answer SET status = 'running', corpus_version = ?2, model_fingerprint = ?3
             WHERE id = ?1 AND status = 'queued'",
        )
        .bind(answer.as_str())
        .bind(int("corpus version", corpus_version)?)
        .bind(model_fingerprint)
        .execute(&mut *tx)
        .await?;
        expect_one(&mut tx, answer, done.rows_affected()).await?;
        Ok(tx.commit().await?)
    }

    /// Notes documents that a running answer is composed from. To be called before the first event that holds text:
    /// removal of a document finds by them what was said of it.
    pub async fn note_sources(&self, answer: &Id, sources: &[Id]) -> Result<()> {
        let mut tx = self.write().await?;
        answer::status(&mut tx, answer).await?;
        for source in sources {
            citation::insert_source(&mut tx, answer, source).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The documents that an answer was composed from.
    pub async fn sources_of(&self, answer: &Id) -> Result<Vec<Id>> {
        let rows =
            sqlx::query("SELECT document_id FROM answer_source WHERE answer_id = ?1 ORDER BY document_id")
                .bind(answer.as_str())
                .fetch_all(self.reader())
                .await?;
        rows.iter().map(|row| row.id(IdKind::Document, "document_id")).collect()
    }

    /// Completes an accepted answer with its citations in one commit; what was asked stays as it was accepted. What
    /// it took from a document removed meanwhile is stored scrubbed.
    ///
    /// Errors: [`Error::AnswerFinished`] when it was cancelled meanwhile.
    pub async fn complete_answer(&self, answer: &Id, new: &NewAnswer) -> Result<()> {
        let mut tx = self.write().await?;
        complete(&mut tx, answer, new).await?;
        Ok(tx.commit().await?)
    }

    /// Accepts and completes in one commit: for a caller that waits for the answer and keeps nothing before it.
    pub async fn insert_answer(&self, owner: &str, new: &NewAnswer) -> Result<(Id, u64)> {
        let question = NewQuestion {
            corpus: new.corpus.clone(),
            conversation: None,
            question: new.question.clone(),
            mode: new.mode.clone(),
            seed: new.seed,
            request: json!({}),
        };
        let mut tx = self.write().await?;
        let (id, created_ms) = accept(&mut tx, owner, &question).await?;
        complete(&mut tx, &id, new).await?;
        tx.commit().await?;
        Ok((id, created_ms))
    }

    /// Ends an answer that gives none: `failed` with the reason, or `cancelled`. Its events stay.
    ///
    /// Errors: [`Error::AnswerFinished`] when it has ended already.
    pub async fn fail_answer(&self, answer: &Id, status: AnswerStatus, error: Option<&Value>) -> Result<()> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE answer SET status = ?2, error = ?3, request = '{}'
             WHERE id = ?1 AND status IN ('queued', 'running')",
        )
        .bind(answer.as_str())
        .bind(status.as_str())
        .bind(error.map(Value::to_string))
        .execute(&mut *tx)
        .await?;
        expect_one(&mut tx, answer, done.rows_affected()).await?;
        Ok(tx.commit().await?)
    }

    /// Puts an answer that was interrupted back to where it was when it was accepted: it runs again from its seed
    /// under the same id, and says everything anew.
    ///
    /// Errors: [`Error::AnswerFinished`] when it has ended: what it was asked with is kept no longer than that.
    pub async fn restart_answer(&self, answer: &Id) -> Result<()> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE answer SET status = 'queued', error = NULL, corpus_version = 0, model_fingerprint = '',
                 source_removed = 0 WHERE id = ?1 AND status IN ('queued', 'running')",
        )
        .bind(answer.as_str())
        .execute(&mut *tx)
        .await?;
        expect_one(&mut tx, answer, done.rows_affected()).await?;
        for sql in [
            "DELETE FROM answer_event WHERE answer_id = ?1",
            "DELETE FROM answer_source WHERE answer_id = ?1",
        ] {
            sqlx::query(sql).bind(answer.as_str()).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }
}

async fn accept(tx: &mut SqliteConnection, owner: &str, new: &NewQuestion) -> Result<(Id, u64)> {
    let (id, now) = (mint(IdKind::Answer), now_ms());
    corpus::check_owner(tx, owner, &new.corpus).await?;
    if let Some(conversation) = &new.conversation {
        conversation::touch(tx, owner, &new.corpus, conversation, now).await?;
    }
    sqlx::query(
        "INSERT INTO answer (id, owner_id, corpus_id, corpus_version, conversation_id, model_fingerprint, question,
             mode, seed, status, grounding, text, usage, detail, request, created_ms)
         VALUES (?1, ?2, ?3, 0, ?4, '', ?5, ?6, ?7, 'queued', '', '', '{}', '{}', ?8, ?9)",
    )
    .bind(id.as_str())
    .bind(owner)
    .bind(new.corpus.as_str())
    .bind(new.conversation.as_ref().map(Id::as_str))
    .bind(&new.question)
    .bind(&new.mode)
    .bind(new.seed.cast_signed())
    .bind(new.request.to_string())
    .bind(now as i64)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE corpus SET last_asked_ms = ?2 WHERE id = ?1")
        .bind(new.corpus.as_str())
        .bind(now as i64)
        .execute(tx)
        .await?;
    Ok((id, now))
}

async fn complete(tx: &mut SqliteConnection, answer: &Id, new: &NewAnswer) -> Result<()> {
    let done = sqlx::query(
        "UPDATE answer SET corpus_version = ?2, model_fingerprint = ?3, status = ?4, grounding = ?5, text = ?6,
             plan = ?7, usage = ?8, detail = ?9, request = '{}' WHERE id = ?1 AND status IN ('queued', 'running')",
    )
    .bind(answer.as_str())
    .bind(int("corpus version", new.corpus_version)?)
    .bind(&new.model_fingerprint)
    .bind(&new.status)
    .bind(&new.grounding)
    .bind(&new.text)
    .bind(new.plan.to_string())
    .bind(new.usage.to_string())
    .bind(new.detail.to_string())
    .execute(&mut *tx)
    .await?;
    expect_one(tx, answer, done.rows_affected()).await?;
    for citation in &new.citations {
        citation::insert(tx, answer, citation).await?;
    }
    for source in &new.sources {
        citation::insert_source(tx, answer, source).await?;
    }
    citation::scrub_removed_sources(tx, answer).await
}

/// Says why a change of state did not happen.
async fn expect_one(tx: &mut SqliteConnection, answer: &Id, changed: u64) -> Result<()> {
    if changed == 1 {
        return Ok(());
    }
    let status = answer::status(tx, answer).await?;
    Err(Error::AnswerFinished { answer: answer.to_string(), status })
}
