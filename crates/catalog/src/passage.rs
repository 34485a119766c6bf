//! Table `passage`: the units of retrieval of a document version, by position; their text is in the canonical text.

use base::{ByteSpan, TokenSpan};
use sqlx::sqlite::SqliteRow;

use crate::{
    Catalog, Result, VersionId,
    row::{Columns, int},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    pub idx: u64,
    pub bytes: ByteSpan,
    pub tokens: TokenSpan,
    /// First and last page index, from 1; `None` where the format has no pages.
    pub pages: Option<(u64, u64)>,
    /// The headings above it, empty when there are none.
    pub heading: String,
}

impl Catalog {
    /// Replaces the passages of a version; `idx` must count from 0 in order.
    pub async fn register_passages(&self, version: VersionId, passages: &[Passage]) -> Result<()> {
        let mut tx = self.write().await?;
        let id = int("version", version.0)?;
        sqlx::query("DELETE FROM passage WHERE version_id = ?1").bind(id).execute(&mut *tx).await?;
        for passage in passages {
            let page = |page: Option<u64>| page.map(|p| int("page", p)).transpose();
            sqlx::query(
                "INSERT INTO passage (version_id, idx, byte_start, byte_end, token_start, token_end, page_first,
                     page_last, heading) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .bind(id)
            .bind(int("passage", passage.idx)?)
            .bind(int("byte", passage.bytes.start)?)
            .bind(int("byte", passage.bytes.end)?)
            .bind(int("token", passage.tokens.start)?)
            .bind(int("token", passage.tokens.end)?)
            .bind(page(passage.pages.map(|p| p.0))?)
            .bind(page(passage.pages.map(|p| p.1))?)
            .bind(&passage.heading)
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// The passages of a version, in order.
    pub async fn passages(&self, version: VersionId) -> Result<Vec<Passage>> {
        let rows = sqlx::query("SELECT * FROM passage WHERE version_id = ?1 ORDER BY idx")
            .bind(int("version", version.0)?)
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &SqliteRow) -> Result<Passage> {
    Ok(Passage {
        idx: row.count("idx")?,
        bytes: row.byte_span()?,
        tokens: row.token_span()?,
        pages: row.opt_count("page_first")?.zip(row.opt_count("page_last")?),
        heading: row.text("heading")?,
    })
}
