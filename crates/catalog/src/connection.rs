//! Opening the database file: identity and schema check, migrations, one writer and several readers.

use std::{
    borrow::Cow,
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{Error, Result};

/// `Ibid` as four ASCII bytes; bytes 68..72 of the database header.
const APPLICATION_ID: u32 = 0x4962_6964;
/// Every schema step, oldest first; a step's number is its position from 1 and the `user_version` it sets.
const MIGRATIONS: [(&str, &str); 1] = [("catalog", include_str!("../../../migrations/0001_catalog.sql"))];
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The open catalog of one data folder. Cheap to clone; one process at a time is expected to write.
#[derive(Debug, Clone)]
pub struct Catalog {
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
}

impl Catalog {
    /// Opens or creates the database file; brings an older one to this schema.
    ///
    /// Errors: [`Error::Foreign`], [`Error::Newer`], [`Error::Damaged`] leave the file as it was.
    pub async fn open(path: &Path) -> Result<Self> {
        refuse_other_files(path)?;
        let open = |source| Error::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::None)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("secure_delete", "ON")
            // Sorting must not leave document text in temporary files.
            .pragma("temp_store", "MEMORY");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        migrate(path, &writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(open)?;
        Ok(Self { writer, readers, path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Moves the write-ahead log into the database file and empties it, so that deleted bytes are gone from disk.
    /// `false`: a reader was in the way; call again later.
    pub async fn checkpoint(&self) -> Result<bool> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
        Ok(row.try_get::<i64, _>(0)? == 0)
    }

    /// SQLite's own full check of pages and indices.
    pub async fn check_integrity(&self) -> Result<()> {
        let rows = sqlx::query("PRAGMA integrity_check").fetch_all(self.reader()).await?;
        let lines =
            rows.iter().map(|r| r.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?;
        if lines == ["ok"] {
            Ok(())
        } else {
            Err(Error::Damaged { path: self.path.clone(), detail: lines.join("; ") })
        }
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// A write transaction that holds the write lock from its start, so that what it reads cannot change under it.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Reads the database header (<https://www.sqlite.org/fileformat.html>, section 1.3) before SQLite may write to it.
fn refuse_other_files(path: &Path) -> Result<()> {
    let mut header = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::Open { path: path.to_owned(), source: e.into() }),
    }
    // An empty file, or one whose first commit is still in the log only.
    if header.is_empty() {
        return Ok(());
    }
    let word = |at: usize| header.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let (Some(version), Some(application_id), true) =
        (word(60), word(68), header.starts_with(b"SQLite format 3\0"))
    else {
        return Err(Error::Foreign { path: path.to_owned(), application_id: 0 });
    };
    let known = MIGRATIONS.len() as u32;
    match (application_id, version) {
        (APPLICATION_ID, v) if v > known => Err(Error::Newer { path: path.to_owned(), found: v, known }),
        // Both zero: created, then interrupted before the first migration; `migrate` decides.
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(Error::Foreign { path: path.to_owned(), application_id }),
    }
}

/// The header on disk may be older than the log, so identity and version are asked again through SQLite.
async fn migrate(path: &Path, writer: &SqlitePool) -> Result<()> {
    let open = |source| Error::Open { path: path.to_owned(), source };
    let known = MIGRATIONS.len() as u32;
    let pragma = |sql: &'static str| async move {
        let value: i64 = sqlx::query_scalar(sql).fetch_one(writer).await.map_err(open)?;
        Ok::<u32, Error>(value as u32)
    };
    let application_id = pragma("PRAGMA application_id").await?;
    let found = pragma("PRAGMA user_version").await?;
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE name NOT GLOB '_sqlx*' AND name NOT GLOB 'sqlite_*'",
    )
    .fetch_one(writer)
    .await
    .map_err(open)?;
    if application_id != APPLICATION_ID && (application_id != 0 || tables > 0) {
        return Err(Error::Foreign { path: path.to_owned(), application_id });
    }
    if found > known {
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    migrator().run(writer).await.map_err(|source| Error::Migrate { path: path.to_owned(), known, source })
}

fn migrator() -> Migrator {
    let steps = MIGRATIONS.iter().zip(1..).map(|((name, sql), number)| {
        Migration::new(
            number,
            Cow::Borrowed(*name),
            MigrationType::Simple,
            sqlx::SqlStr::from_static(sql),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}
