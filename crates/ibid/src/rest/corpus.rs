//! The corpus object.

use super::{described, time};
use catalog::{CorpusCounts, CorpusStorage, JobState};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Corpus {
    /// `corpus`
    pub object: &'static str,
    pub id: String,
    pub name: String,
    pub state: CorpusState,
    /// Newest version that questions see; 0 before the first.
    pub version: u64,
    #[schema(required)]
    pub model: Option<CorpusModel>,
    pub counts: Counts,
    pub storage: Storage,
    /// The ingest under way, if any.
    #[schema(required)]
    pub prefill: Option<Prefill>,
    #[schema(value_type = Object)]
    pub metadata: Value,
    #[schema(required)]
    pub last_asked_at: Option<String>,
    #[schema(required)]
    pub created_at: Option<String>,
    #[schema(required)]
    pub updated_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CorpusState {
    Empty,
    Ready,
    Extracting,
    Prefilling,
    /// Its last ingest failed; what was read before can be asked.
    Failed,
}

/// The model its KV belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorpusModel {
    pub id: String,
    pub fingerprint: String,
    pub kv_dtype: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Counts {
    pub documents: u64,
    pub ready: u64,
    pub failed: u64,
    pub pages: u64,
    pub characters: u64,
    pub tokens: u64,
}

/// Bytes on disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Storage {
    pub source_bytes: u64,
    pub text_bytes: u64,
    pub kv_bytes: u64,
}

/// How far an ingest is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Prefill {
    pub job_id: String,
    /// `queued` until its turn comes, then `running`.
    #[schema(schema_with = described::job_state)]
    pub state: JobState,
    pub stage: String,
    pub unit: String,
    pub done: u64,
    pub total: u64,
    /// Units a second.
    pub rate: f64,
    #[schema(required)]
    pub eta_s: Option<u64>,
    #[schema(required)]
    pub heartbeat_at: Option<String>,
}

/// `job`: the corpus's newest ingest.
pub fn corpus(
    corpus: &catalog::Corpus,
    counts: &CorpusCounts,
    storage: &CorpusStorage,
    job: Option<&catalog::Job>,
) -> Corpus {
    Corpus {
        object: "corpus",
        id: corpus.id.to_string(),
        name: corpus.name.clone(),
        state: state(corpus, job),
        version: corpus.version,
        model: corpus.model.as_ref().map(|model| CorpusModel {
            id: model.name.clone(),
            fingerprint: model.fingerprint.clone(),
            kv_dtype: model.kv_dtype.clone(),
        }),
        counts: Counts {
            documents: counts.documents,
            ready: counts.ready,
            failed: counts.failed,
            pages: counts.pages,
            characters: counts.characters,
            tokens: counts.tokens,
        },
        storage: Storage {
            source_bytes: storage.source_bytes,
            text_bytes: storage.text_bytes,
            kv_bytes: storage.kv_bytes,
        },
        prefill: job.filter(|job| under_way(job)).map(prefill),
        metadata: corpus.metadata.clone(),
        last_asked_at: corpus.last_asked_ms.and_then(time),
        created_at: time(corpus.created_ms),
        updated_at: time(corpus.updated_ms),
    }
}

fn under_way(job: &catalog::Job) -> bool {
    matches!(job.state, JobState::Queued | JobState::Running)
}

fn state(corpus: &catalog::Corpus, job: Option<&catalog::Job>) -> CorpusState {
    match job {
        Some(job) if under_way(job) && job.progress.stage == "prefill" => CorpusState::Prefilling,
        Some(job) if under_way(job) => CorpusState::Extracting,
        Some(job) if job.state == JobState::Failed => CorpusState::Failed,
        _ if corpus.version == 0 => CorpusState::Empty,
        _ => CorpusState::Ready,
    }
}

fn prefill(job: &catalog::Job) -> Prefill {
    let progress = super::job(job).progress;
    Prefill {
        job_id: job.id.to_string(),
        state: job.state,
        stage: progress.stage,
        unit: progress.unit,
        done: progress.done,
        total: progress.total,
        rate: progress.rate,
        eta_s: progress.eta_s,
        heartbeat_at: time(job.heartbeat_ms),
    }
}
