//! Table `citation`: which span of an answer rests on which span of a document, and the scrubbing of removed ones.

use std::collections::HashMap;

use base::{CharSpan, Id, IdKind};
use serde_json::Value;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Error, Result, VersionId, answer,
    row::{Columns, int},
};

#[derive(Debug, Clone, PartialEq)]
pub struct Citation {
    /// From 1 within the answer.
    pub number: u64,
    /// Span of the answer's text, code points.
    pub answer: CharSpan,
    pub document: Id,
    pub version: VersionId,
    pub title: String,
    /// Span of the document's canonical text, code points.
    pub source: CharSpan,
    pub quote: String,
    /// Pages, boxes, context, verification and evidence, as the REST object has them.
    pub detail: Value,
    /// The document was removed: title, quote and detail are empty.
    pub source_removed: bool,
}

impl Catalog {
    /// The citations of some answers, each answer's by number.
    pub(crate) async fn citations(
        &self,
        answers: impl Iterator<Item = &Id>,
    ) -> Result<HashMap<Id, Vec<Citation>>> {
        let ids = serde_json::Value::from_iter(answers.map(Id::as_str));
        let rows = sqlx::query(
            "SELECT * FROM citation WHERE answer_id IN (SELECT value FROM json_each(?1)) ORDER BY answer_id, number",
        )
        .bind(ids.to_string())
        .fetch_all(self.reader())
        .await?;
        let mut citations = HashMap::<Id, Vec<Citation>>::new();
        for row in &rows {
            citations.entry(row.id(IdKind::Answer, "answer_id")?).or_default().push(read(row)?);
        }
        Ok(citations)
    }
}

/// Whether the document that a row of `source` names was removed: no version of it is visible. Its rows may outlast
/// that for as long as a question that began before runs.
macro_rules! source_gone {
    () => {
        "NOT EXISTS (SELECT 1 FROM document_version v WHERE v.document_id = source.document_id
                     AND v.visible_from IS NOT NULL AND v.visible_to IS NULL)"
    };
}
pub(crate) use source_gone;

pub(crate) async fn insert(tx: &mut SqliteConnection, answer: &Id, citation: &Citation) -> Result<()> {
    sqlx::query(
        "INSERT INTO citation (answer_id, number, answer_start, answer_end, document_id, version_id, title, start_char,
             end_char, quote, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(answer.as_str())
    .bind(int("citation number", citation.number)?)
    .bind(int("answer offset", citation.answer.start)?)
    .bind(int("answer offset", citation.answer.end)?)
    .bind(citation.document.as_str())
    .bind(int("version", citation.version.0)?)
    .bind(&citation.title)
    .bind(int("source offset", citation.source.start)?)
    .bind(int("source offset", citation.source.end)?)
    .bind(&citation.quote)
    .bind(citation.detail.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that an answer was composed from a document. Noting it twice is fine.
pub(crate) async fn insert_source(tx: &mut SqliteConnection, answer: &Id, document: &Id) -> Result<()> {
    sqlx::query("INSERT INTO answer_source (answer_id, document_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
        .bind(answer.as_str())
        .bind(document.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Scrubs what a document left in stored answers: its quotes, the sentences that rest on it, and all that an answer
/// composed from it says without citing another document. Text is blacked out code point by code point, so that all
/// other spans keep their places; the plan, earlier turns, the events and the kept replies go: the answer cannot be
/// replayed.
pub(crate) async fn scrub_document(tx: &mut SqliteConnection, document: &Id) -> Result<()> {
    let rows = sqlx::query(
        "SELECT answer_id FROM citation WHERE document_id = ?1 AND source_removed = 0
         UNION SELECT answer_id FROM answer_source WHERE document_id = ?1",
    )
    .bind(document.as_str())
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        scrub(&mut *tx, &row.id(IdKind::Answer, "answer_id")?, document.as_str()).await?;
    }
    Ok(())
}

/// Scrubs a new answer of what it took from documents that were removed.
pub(crate) async fn scrub_removed_sources(tx: &mut SqliteConnection, answer: &Id) -> Result<()> {
    let rows = sqlx::query(concat!(
        "SELECT document_id FROM (SELECT answer_id, document_id FROM citation
                                  UNION SELECT answer_id, document_id FROM answer_source) AS source
         WHERE answer_id = ?1 AND ",
        source_gone!()
    ))
    .bind(answer.as_str())
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        scrub(&mut *tx, answer, &row.text("document_id")?).await?;
    }
    Ok(())
}

async fn scrub(tx: &mut SqliteConnection, answer: &Id, document: &str) -> Result<()> {
    let text = sqlx::query("SELECT text FROM answer WHERE id = ?1")
        .bind(answer.as_str())
        .fetch_one(&mut *tx)
        .await?
        .text("text")?;
    let cited = sqlx::query("SELECT * FROM citation WHERE answer_id = ?1").bind(answer.as_str());
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for row in &cited.fetch_all(&mut *tx).await? {
        let citation = read(row)?;
        let other = citation.document.as_str() != document && !citation.source_removed;
        if other { kept.push(citation.answer) } else { gone.push(citation.answer) }
    }
    // A question that has not ended keeps the rest of its request: it runs again after a crash, without those turns.
    sqlx::query(
        "UPDATE answer SET text = ?2, plan = NULL, request = json_remove(request, '$.history'), source_removed = 1
         WHERE id = ?1",
    )
        .bind(answer.as_str())
        .bind(black_out(&text, &kept, &gone))
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "UPDATE citation SET quote = '', title = '', detail = '{}', source_removed = 1
         WHERE answer_id = ?1 AND document_id = ?2",
    )
    .bind(answer.as_str())
    .bind(document)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM answer_source WHERE answer_id = ?1 AND document_id = ?2")
        .bind(answer.as_str())
        .bind(document)
        .execute(&mut *tx)
        .await?;
    answer::forget_copies(tx, answer).await
}

/// Replaces letters by U+2588, one for one, but those that stand in a kept span and in none that goes.
fn black_out(text: &str, kept: &[CharSpan], gone: &[CharSpan]) -> String {
    let inside = |spans: &[CharSpan], at: u64| spans.iter().any(|span| (span.start..span.end).contains(&at));
    let stays = |at: u64| inside(kept, at) && !inside(gone, at);
    (0_u64..)
        .zip(text.chars())
        .map(|(at, c)| if c.is_whitespace() || stays(at) { c } else { '\u{2588}' })
        .collect()
}

fn read(row: &SqliteRow) -> Result<Citation> {
    let span = |start: &'static str, end: &'static str| {
        let (from, to) = (row.count(start)?, row.count(end)?);
        if from <= to {
            Ok(CharSpan { start: from, end: to })
        } else {
            Err(Error::BadRow { table: "citation", column: end, value: to.to_string() })
        }
    };
    Ok(Citation {
        number: row.count("number")?,
        answer: span("answer_start", "answer_end")?,
        document: row.id(IdKind::Document, "document_id")?,
        version: VersionId(row.count("version_id")?),
        title: row.text("title")?,
        source: span("start_char", "end_char")?,
        quote: row.text("quote")?,
        detail: row.json("detail")?,
        source_removed: row.flag("source_removed")?,
    })
}
