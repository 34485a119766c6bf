//! Table `conversation`: questions about one corpus that follow from each other.

use base::{Id, IdKind};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    Catalog, Error, Listed, Page, Result, corpus,
    page::{List, list},
    row::{Columns, mint, now_ms},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub id: Id,
    pub owner: String,
    pub corpus: Id,
    pub title: String,
    pub created_ms: u64,
    /// When its newest answer was asked for.
    pub updated_ms: u64,
}

const OF_OWNER: List = list!("conversation", "SELECT * FROM conversation WHERE owner_id = ?1", "id");

impl Catalog {
    pub async fn create_conversation(&self, owner: &str, corpus: &Id, title: &str) -> Result<Conversation> {
        let id = mint(IdKind::Conversation);
        let mut tx = self.write().await?;
        corpus::check_owner(&mut tx, owner, corpus).await?;
        sqlx::query(
            "INSERT INTO conversation (id, owner_id, corpus_id, title, created_ms, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )
        .bind(id.as_str())
        .bind(owner)
        .bind(corpus.as_str())
        .bind(title)
        .bind(now_ms() as i64)
        .execute(&mut *tx)
        .await?;
        let conversation = find(&mut tx, owner, id.as_str()).await?;
        tx.commit().await?;
        Ok(conversation)
    }

    pub async fn conversation(&self, owner: &str, id: &str) -> Result<Conversation> {
        find(&mut *self.reader().acquire().await?, owner, id).await
    }

    pub async fn list_conversations(&self, owner: &str, page: &Page) -> Result<Listed<Conversation>> {
        OF_OWNER.page(self.reader(), owner, page, read).await
    }

    /// Deletes a conversation with its answers. Also empties the write-ahead log, which still holds the deleted rows.
    pub async fn delete_conversation(&self, owner: &str, id: &str) -> Result<()> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM conversation WHERE id = ?1 AND owner_id = ?2")
            .bind(id)
            .bind(owner)
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            return Err(Error::not_found("conversation", id));
        }
        tx.commit().await?;
        self.checkpoint().await?;
        Ok(())
    }
}

pub(crate) async fn find(tx: &mut SqliteConnection, owner: &str, id: &str) -> Result<Conversation> {
    let row = sqlx::query("SELECT * FROM conversation WHERE id = ?1 AND owner_id = ?2")
        .bind(id)
        .bind(owner)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("conversation", id))
}

/// Notes that something was asked in a conversation about this corpus.
pub(crate) async fn touch(
    tx: &mut SqliteConnection,
    owner: &str,
    corpus: &Id,
    conversation: &Id,
    now: u64,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE conversation SET updated_ms = ?4 WHERE id = ?1 AND owner_id = ?2 AND corpus_id = ?3",
    )
    .bind(conversation.as_str())
    .bind(owner)
    .bind(corpus.as_str())
    .bind(now as i64)
    .execute(tx)
    .await?;
    if done.rows_affected() == 0 { Err(Error::not_found("conversation", conversation)) } else { Ok(()) }
}

fn read(row: &SqliteRow) -> Result<Conversation> {
    Ok(Conversation {
        id: row.id(IdKind::Conversation, "id")?,
        owner: row.text("owner_id")?,
        corpus: row.id(IdKind::Corpus, "corpus_id")?,
        title: row.text("title")?,
        created_ms: row.count("created_ms")?,
        updated_ms: row.count("updated_ms")?,
    })
}
