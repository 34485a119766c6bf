//! One page of a list: so many things after or before one that the caller has seen. Ids sort by creation time, so a
//! list in order of id keeps its order while things come and go.

use sqlx::{SqliteConnection, SqlitePool, sqlite::SqliteRow};

use crate::{Error, Result};

/// Which stretch of a list is wanted. Both cursors at once bound it on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub limit: u32,
    /// Id of the last thing seen: the page begins behind it.
    pub after: Option<String>,
    /// Id of the first thing seen: the page ends in front of it.
    pub before: Option<String>,
    /// Newest first.
    pub descending: bool,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 20, after: None, before: None, descending: false }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// There is more behind the page; in front of it when only `before` was given.
    pub has_more: bool,
}

/// The rows of one list that the caller may see, as two statements: oldest and newest first. ?1 says whose list it
/// is; ids are in ?2 .. ?3, half-open; at most ?4 rows.
pub(crate) struct List {
    /// What the list holds, for [`Error::NotFound`].
    pub kind: &'static str,
    pub oldest_first: &'static str,
    pub newest_first: &'static str,
}

/// Completes a `SELECT … WHERE …` to a [`List`] by the given id column.
macro_rules! list {
    ($kind:literal, $select:expr, $id:literal) => {
        crate::page::List {
            kind: $kind,
            oldest_first: concat!(
                $select,
                " AND ",
                $id,
                " >= ?2 AND ",
                $id,
                " < ?3 ORDER BY ",
                $id,
                " LIMIT ?4"
            ),
            newest_first: concat!(
                $select,
                " AND ",
                $id,
                " >= ?2 AND ",
                $id,
                " < ?3 ORDER BY ",
                $id,
                " DESC LIMIT ?4"
            ),
        }
    };
}
pub(crate) use list;

/// Below and above every id.
const ENDS: (&str, &str) = ("", "~");

/// The first text that sorts behind `id` and before the next id.
fn behind(id: &str) -> String {
    format!("{id} ")
}

impl List {
    /// Errors: [`Error::NotFound`] for a cursor that is not in this list, whoever owns it.
    pub async fn page<T>(
        &self,
        pool: &SqlitePool,
        whose: &str,
        page: &Page,
        read: impl Fn(&SqliteRow) -> Result<T>,
    ) -> Result<Listed<T>> {
        let connection = &mut *pool.acquire().await?;
        for cursor in page.after.iter().chain(&page.before) {
            if self.rows(connection, false, whose, (cursor, &behind(cursor)), 1).await?.is_empty() {
                return Err(Error::not_found(self.kind, cursor));
            }
        }
        let (after, before) = (page.after.as_deref(), page.before.as_deref());
        // What lies in front of the cursor is nearest to it when the list is read backwards.
        let backwards = before.is_some() && after.is_none();
        let (older, newer) = if page.descending { (before, after) } else { (after, before) };
        let (low, high) = (older.map(behind), newer.unwrap_or(ENDS.1));
        let (low, limit) = (low.as_deref().unwrap_or(ENDS.0), page.limit as usize);
        let descending = page.descending != backwards;
        let mut rows =
            self.rows(connection, descending, whose, (low, high), i64::from(page.limit) + 1).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        if backwards {
            rows.reverse();
        }
        Ok(Listed { items: rows.iter().map(read).collect::<Result<_>>()?, has_more })
    }

    async fn rows(
        &self,
        connection: &mut SqliteConnection,
        descending: bool,
        whose: &str,
        (low, high): (&str, &str),
        limit: i64,
    ) -> Result<Vec<SqliteRow>> {
        let sql = if descending { self.newest_first } else { self.oldest_first };
        Ok(sqlx::query(sql).bind(whose).bind(low).bind(high).bind(limit).fetch_all(connection).await?)
    }
}
