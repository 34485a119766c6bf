//! The job object.

use super::{Reason, described, time};
use catalog::{JobKind, JobState};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// `job`
    pub object: &'static str,
    pub id: String,
    #[schema(schema_with = described::job_kind)]
    pub kind: JobKind,
    #[schema(schema_with = described::job_state)]
    pub state: JobState,
    #[schema(required)]
    pub corpus_id: Option<String>,
    pub progress: Progress,
    #[schema(required)]
    pub error: Option<Reason>,
    #[schema(required)]
    pub created_at: Option<String>,
    #[schema(required)]
    pub heartbeat_at: Option<String>,
    #[schema(required)]
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
    #[schema(required)]
    pub eta_s: Option<u64>,
    /// Of KV, for what was prefilled; null in other stages and where no model is in use.
    #[schema(required)]
    pub kv_bytes: Option<u64>,
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
        progress: Progress { stage, done, total, unit, rate, eta_s, kv_bytes: None },
        error: Reason::of(job.error.as_ref()),
        created_at: time(job.created_ms),
        heartbeat_at: time(job.heartbeat_ms),
        finished_at: job.finished_ms.and_then(time),
    }
}
