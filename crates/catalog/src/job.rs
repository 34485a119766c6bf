//! Table `job`: everything slow, with honest progress. A job outlives the process that ran it.

use base::{Id, IdKind};
use serde_json::{Value, json};
use sqlx::{
    Row, SqliteConnection,
    sqlite::{SqliteQueryResult, SqliteRow},
};

use crate::{
    Catalog, Error, Listed, Page, Result, corpus,
    page::{List, list},
    row::{Columns, int, mint, now_ms, words},
};

words! {
    JobKind {
        Ingest = "ingest",
        Remove = "remove",
        Rebuild = "rebuild",
        Verify = "verify",
        Export = "export",
        Import = "import",
        ModelFetch = "model_fetch",
    }
}

words! {
    JobState {
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: Id,
    pub owner: String,
    pub corpus: Option<Id>,
    pub kind: JobKind,
    pub state: JobState,
    pub progress: Progress,
    pub cancel_requested: bool,
    pub error: Option<Value>,
    pub params: Value,
    pub created_ms: u64,
    /// When the job last reported; a running job that is silent for long has lost its process.
    pub heartbeat_ms: u64,
    pub finished_ms: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct NewJob {
    pub kind: JobKind,
    pub corpus: Option<Id>,
    /// Whatever is needed to go on after a restart.
    pub params: Value,
}

/// `done` of `total` in `unit`; `rate` in units per second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    pub stage: String,
    pub done: u64,
    pub total: u64,
    pub unit: String,
    pub rate: f64,
}

const OF_OWNER: List = list!("job", "SELECT * FROM job WHERE owner_id = ?1", "id");

impl Catalog {
    /// Queues a job.
    pub async fn create_job(&self, owner: &str, new: &NewJob) -> Result<Job> {
        let mut tx = self.write().await?;
        if let Some(corpus) = &new.corpus {
            corpus::check_owner(&mut tx, owner, corpus).await?;
        }
        let id = insert(&mut tx, owner, new, JobState::Queued).await?;
        let job = find(&mut tx, &id).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// One job of an owner.
    pub async fn job(&self, owner: &str, id: &str) -> Result<Job> {
        let row = sqlx::query("SELECT * FROM job WHERE id = ?1 AND owner_id = ?2")
            .bind(id)
            .bind(owner)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("job", id))
    }

    /// All jobs of an owner, newest first.
    pub async fn jobs(&self, owner: &str) -> Result<Vec<Job>> {
        let rows = sqlx::query("SELECT * FROM job WHERE owner_id = ?1 ORDER BY id DESC")
            .bind(owner)
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Jobs of an owner, by age.
    pub async fn list_jobs(&self, owner: &str, page: &Page) -> Result<Listed<Job>> {
        OF_OWNER.page(self.reader(), owner, page, read).await
    }

    /// The ingest of a corpus that was begun last.
    pub async fn newest_ingest(&self, corpus: &Id) -> Result<Option<Job>> {
        let row = sqlx::query(
            "SELECT * FROM job WHERE corpus_id = ?1 AND kind IN ('ingest', 'import') ORDER BY id DESC LIMIT 1",
        )
        .bind(corpus.as_str())
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Jobs of every owner that were queued or running when their process ended, oldest first.
    pub async fn unfinished(&self) -> Result<Vec<Job>> {
        let rows = sqlx::query("SELECT * FROM job WHERE state IN ('queued', 'running') ORDER BY id")
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }

    /// For the process that has just become the only one: no running job has a process any more. They are failed as
    /// `interrupted`, keep what they staged, and are given back, oldest first, to be resumed, or discarded where
    /// `cancel_requested` says so.
    pub async fn fail_interrupted(&self) -> Result<Vec<Job>> {
        let error =
            json!({"code": "interrupted", "message": "the process that ran this job ended before it did"});
        let mut tx = self.write().await?;
        let rows =
            sqlx::query("SELECT id FROM job WHERE state = 'running' ORDER BY id").fetch_all(&mut *tx).await?;
        let mut jobs = Vec::new();
        for row in &rows {
            let id = row.id(IdKind::Job, "id")?;
            finish(&mut tx, &id, JobState::Failed, Some(&error)).await?;
            jobs.push(find(&mut tx, &id).await?);
        }
        tx.commit().await?;
        Ok(jobs)
    }

    /// Records progress and a heartbeat, moves a queued job to running; `true` when the job should stop.
    /// Every call is one durable commit: report a few times a second at most.
    pub async fn report(&self, job: &Id, progress: &Progress) -> Result<bool> {
        let mut tx = self.write().await?;
        let row = sqlx::query(
            "UPDATE job SET state = 'running', stage = ?2, done = ?3, total = ?4, unit = ?5, rate = ?6, heartbeat_ms = ?7
             WHERE id = ?1 AND state IN ('queued', 'running') RETURNING cancel_requested",
        )
        .bind(job.as_str())
        .bind(&progress.stage)
        .bind(int("done", progress.done)?)
        .bind(int("total", progress.total)?)
        .bind(&progress.unit)
        .bind(progress.rate)
        .bind(now_ms() as i64)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            let found = find(&mut tx, job).await?;
            return Err(Error::JobFinished { job: job.to_string(), state: found.state });
        };
        let stop = row.flag("cancel_requested")?;
        tx.commit().await?;
        Ok(stop)
    }

    /// Puts a job that its process left, or that failed, back into the queue; what it staged stays.
    ///
    /// Errors: [`Error::JobFinished`] when it has succeeded or was cancelled.
    pub async fn requeue_job(&self, job: &Id) -> Result<()> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE job SET state = 'queued', error = NULL, finished_ms = NULL, heartbeat_ms = ?2
             WHERE id = ?1 AND state NOT IN ('succeeded', 'cancelled')",
        )
        .bind(job.as_str())
        .bind(now_ms() as i64)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            let found = find(&mut tx, job).await?;
            return Err(Error::JobFinished { job: job.to_string(), state: found.state });
        }
        Ok(tx.commit().await?)
    }

    /// Ingests of every owner that stopped before their end without having failed, oldest first.
    pub async fn interrupted_ingests(&self) -> Result<Vec<Job>> {
        let rows = sqlx::query(
            "SELECT * FROM job WHERE kind = 'ingest' AND state = 'failed' AND error ->> 'code' = 'interrupted'
             AND corpus_id IS NOT NULL ORDER BY id",
        )
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Asks a job to stop; it answers through [`Catalog::report`]. Asking twice is fine.
    pub async fn request_cancel(&self, owner: &str, job: &str) -> Result<Job> {
        let found = self.job(owner, job).await?;
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE job SET cancel_requested = 1 WHERE id = ?1 AND state IN ('queued', 'running')",
        )
        .bind(found.id.as_str())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            let found = find(&mut tx, &found.id).await?;
            return Err(Error::JobFinished { job: job.to_owned(), state: found.state });
        }
        tx.commit().await?;
        self.job(owner, job).await
    }

    /// Ends a job with its outcome; one that succeeded has done all of its last stage. A failed ingest keeps what it
    /// staged and can be resumed; to throw that away use [`Catalog::discard`].
    pub async fn finish_job(&self, job: &Id, state: JobState, error: Option<&Value>) -> Result<()> {
        let mut tx = self.write().await?;
        finish(&mut tx, job, state, error).await?;
        Ok(tx.commit().await?)
    }
}

pub(crate) async fn insert(
    tx: &mut SqliteConnection,
    owner: &str,
    new: &NewJob,
    state: JobState,
) -> Result<Id> {
    let id = mint(IdKind::Job);
    sqlx::query(
        "INSERT INTO job (id, owner_id, corpus_id, kind, state, params, created_ms, heartbeat_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
    )
    .bind(id.as_str())
    .bind(owner)
    .bind(new.corpus.as_ref().map(Id::as_str))
    .bind(new.kind.as_str())
    .bind(state.as_str())
    .bind(new.params.to_string())
    .bind(now_ms() as i64)
    .execute(tx)
    .await?;
    Ok(id)
}

pub(crate) async fn find(tx: &mut SqliteConnection, job: &Id) -> Result<Job> {
    let row = sqlx::query("SELECT * FROM job WHERE id = ?1").bind(job.as_str()).fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| Error::not_found("job", job))
}

/// Sets an interrupted or failed job running again.
///
/// Errors: [`Error::NotFound`] for a job of another owner or corpus too.
pub(crate) async fn restart(tx: &mut SqliteConnection, owner: &str, corpus: &Id, job: &Id) -> Result<Id> {
    let found = find(&mut *tx, job).await?;
    if found.owner != owner || found.corpus.as_ref() != Some(corpus) {
        return Err(Error::not_found("job", job));
    }
    if matches!(found.state, JobState::Succeeded | JobState::Cancelled) {
        return Err(Error::JobFinished { job: job.to_string(), state: found.state });
    }
    sqlx::query(
        "UPDATE job SET state = 'running', error = NULL, finished_ms = NULL, cancel_requested = 0, heartbeat_ms = ?2
         WHERE id = ?1",
    )
    .bind(job.as_str())
    .bind(now_ms() as i64)
    .execute(tx)
    .await?;
    Ok(found.id)
}

/// Ends a job as cancelled, whether it waits, runs or has failed.
pub(crate) async fn cancel(tx: &mut SqliteConnection, job: &Id) -> Result<()> {
    let done = sqlx::query(
        "UPDATE job SET state = 'cancelled', error = NULL, finished_ms = ?2, heartbeat_ms = ?2
         WHERE id = ?1 AND state IN ('queued', 'running', 'failed')",
    )
    .bind(job.as_str())
    .bind(now_ms() as i64)
    .execute(&mut *tx)
    .await?;
    check_changed(tx, job, &done).await
}

pub(crate) async fn finish(
    tx: &mut SqliteConnection,
    job: &Id,
    state: JobState,
    error: Option<&Value>,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE job SET state = ?2, error = ?3, finished_ms = ?4, heartbeat_ms = ?4,
             done = CASE WHEN ?2 = 'succeeded' THEN total ELSE done END
         WHERE id = ?1 AND state IN ('queued', 'running')",
    )
    .bind(job.as_str())
    .bind(state.as_str())
    .bind(error.map(Value::to_string))
    .bind(now_ms() as i64)
    .execute(&mut *tx)
    .await?;
    check_changed(tx, job, &done).await
}

/// Errors: [`Error::JobFinished`] when the job had ended before.
async fn check_changed(tx: &mut SqliteConnection, job: &Id, done: &SqliteQueryResult) -> Result<()> {
    if done.rows_affected() > 0 {
        return Ok(());
    }
    let found = find(tx, job).await?;
    Err(Error::JobFinished { job: job.to_string(), state: found.state })
}

fn read(row: &SqliteRow) -> Result<Job> {
    let corpus = row.opt_text("corpus_id")?.map(|_| row.id(IdKind::Corpus, "corpus_id")).transpose()?;
    Ok(Job {
        id: row.id(IdKind::Job, "id")?,
        owner: row.text("owner_id")?,
        corpus,
        kind: row.word("kind")?,
        state: row.word("state")?,
        progress: Progress {
            stage: row.text("stage")?,
            done: row.count("done")?,
            total: row.count("total")?,
            unit: row.text("unit")?,
            rate: row.try_get("rate")?,
        },
        cancel_requested: row.flag("cancel_requested")?,
        error: row.opt_json("error")?,
        params: row.json("params")?,
        created_ms: row.count("created_ms")?,
        heartbeat_ms: row.count("heartbeat_ms")?,
        finished_ms: row.opt_count("finished_ms")?,
    })
}
