//! Table `answer_event`: what a listener was told while an answer ran, in order, so that a stream can be taken up again.

use base::Id;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::{
    Catalog, Error, Result, answer,
    citation::source_gone,
    row::{Columns, int},
};

#[derive(Debug, Clone, PartialEq)]
pub struct AnswerEvent {
    /// From 0, in the order told.
    pub seq: u64,
    pub kind: String,
    pub data: Value,
}

impl Catalog {
    /// Keeps a batch, all or none of it. `false`: a document that the answer is composed from was removed; nothing
    /// was or will be kept, and the answer is served from its row once it is complete.
    pub async fn append_events(&self, answer: &Id, events: &[AnswerEvent]) -> Result<bool> {
        let mut tx = self.write().await?;
        let row = sqlx::query(concat!(
            "SELECT source_removed OR EXISTS (SELECT 1 FROM answer_source AS source WHERE source.answer_id = answer.id AND ",
            source_gone!(),
            ") AS gone FROM answer WHERE id = ?1"
        ))
        .bind(answer.as_str())
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::not_found("answer", answer))?;
        if row.flag("gone")? {
            return Ok(false);
        }
        for event in events {
            sqlx::query("INSERT INTO answer_event (answer_id, seq, kind, data) VALUES (?1, ?2, ?3, ?4)")
                .bind(answer.as_str())
                .bind(int("event", event.seq)?)
                .bind(&event.kind)
                .bind(event.data.to_string())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// What was told behind `after`, all of it when `None`. Empty once a source was removed.
    pub async fn events(&self, owner: &str, answer: &str, after: Option<u64>) -> Result<Vec<AnswerEvent>> {
        answer::check_owner(&mut *self.reader().acquire().await?, owner, answer).await?;
        let rows = sqlx::query("SELECT * FROM answer_event WHERE answer_id = ?1 AND seq > ?2 ORDER BY seq")
            .bind(answer)
            .bind(after.map_or(Ok(-1), |seq| int("event", seq))?)
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &SqliteRow) -> Result<AnswerEvent> {
    Ok(AnswerEvent { seq: row.count("seq")?, kind: row.text("kind")?, data: row.json("data")? })
}
