//! Table `citation`: which span of an answer rests on which span of a document, and the scrubbing of removed ones.

use base::{CharSpan, Id, IdKind};
use serde_json::Value;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Error, Result, VersionId,
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
    pub(crate) async fn citations(&self, answer: &Id) -> Result<Vec<Citation>> {
        let rows = sqlx::query("SELECT * FROM citation WHERE answer_id = ?1 ORDER BY number")
            .bind(answer.as_str())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }
}

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

/// Scrubs every stored quote of a document. The answer's sentences that rest on it are blacked out code point by
/// code point, so that all other spans keep their places, and the plan goes: the answer cannot be replayed.
pub(crate) async fn scrub_document(tx: &mut SqliteConnection, document: &Id) -> Result<()> {
    let rows =
        sqlx::query("SELECT DISTINCT answer_id FROM citation WHERE document_id = ?1 AND source_removed = 0")
            .bind(document.as_str())
            .fetch_all(&mut *tx)
            .await?;
    for row in &rows {
        scrub(&mut *tx, &row.id(IdKind::Answer, "answer_id")?, document.as_str()).await?;
    }
    Ok(())
}

/// Scrubs citations of a new answer whose document is no longer there.
pub(crate) async fn scrub_removed_sources(tx: &mut SqliteConnection, answer: &Id) -> Result<()> {
    let rows = sqlx::query(
        "SELECT DISTINCT document_id FROM citation
         WHERE answer_id = ?1 AND NOT EXISTS (SELECT 1 FROM document WHERE id = document_id)",
    )
    .bind(answer.as_str())
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        scrub(&mut *tx, answer, &row.text("document_id")?).await?;
    }
    Ok(())
}

async fn scrub(tx: &mut SqliteConnection, answer: &Id, document: &str) -> Result<()> {
    let mut text = sqlx::query("SELECT text FROM answer WHERE id = ?1")
        .bind(answer.as_str())
        .fetch_one(&mut *tx)
        .await?
        .text("text")?;
    let cited = sqlx::query("SELECT * FROM citation WHERE answer_id = ?1 AND document_id = ?2")
        .bind(answer.as_str())
        .bind(document)
        .fetch_all(&mut *tx)
        .await?;
    for row in &cited {
        text = black_out(&text, read(row)?.answer);
    }
    sqlx::query("UPDATE answer SET text = ?2, plan = NULL, source_removed = 1 WHERE id = ?1")
        .bind(answer.as_str())
        .bind(text)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "UPDATE citation SET quote = '', title = '', detail = '{}', source_removed = 1
         WHERE answer_id = ?1 AND document_id = ?2",
    )
    .bind(answer.as_str())
    .bind(document)
    .execute(tx)
    .await?;
    Ok(())
}

/// Replaces the letters of a span by U+2588, one for one.
fn black_out(text: &str, span: CharSpan) -> String {
    (0_u64..)
        .zip(text.chars())
        .map(
            |(at, c)| if (span.start..span.end).contains(&at) && !c.is_whitespace() { '\u{2588}' } else { c },
        )
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
