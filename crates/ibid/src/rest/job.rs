//! The job object.

use super::{Reason, time};
use catalog::{JobKind, JobState};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// `job`
    pub object: &'static str,
    pub id: String,
    /// `ingest`, `import`, …
    #[schema(value_type = String)]
    pub kind: JobKind,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`
    #[schema(value_type = String)]
    pub state: JobState,
    pub corpus_id: Option<String>,
    pub progress: Progress,
    pub error: Option<Reason>,
    pub created_at: Option<String>,
    pub heartbeat_at: Option<String>,
    pub finished_at: Option<String>,
}

/// `done` of `total` in `unit`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    pub stage: String,
    pub done: u64,
    pub total: u64,
    pub unit: String,
    /// Units a second.
    pub rate: f64,
    pub eta_s: Option<u64>,
}

pub fn job(job: &catalog::Job) -> Job {
    let catalog::Progress { stage, done, total, unit, rate } = job.progress.clone();
    let eta_s = (rate > 0.0).then(|| (total.saturating_sub(done) as f64 / rate).ceil() as u64);
    Job {
        object: "job",
        id: job.id.to_string(),
        kind: job.kind,
        state: job.state,
        corpus_id: job.corpus.as_ref().map(ToString::to_string),
        progress: Progress { stage, done, total, unit, rate, eta_s },
        error: Reason::of(job.error.as_ref()),
        created_at: time(job.created_ms),
        heartbeat_at: time(job.heartbeat_ms),
        finished_at: job.finished_ms.and_then(time),
    }
}
