//! Files that arrive over the network: kept and staged at once, read later by whoever works through the queue of jobs.
//! From staging on they go the way of every ingest.

use catalog::{Corpus, Document, FoundFile, Job, JobKind, JobState, Known, Plan, Start};
use serde_json::json;

use crate::{
    AddReport, Error, Ingest, Received, Result,
    pipeline::Task,
    stores::blocking,
    watch::{Listener, Watch},
};

/// A file with the document path it will have.
pub struct Upload {
    pub path: String,
    pub received: Received,
}

/// What became of uploads: durable and committed.
#[derive(Debug, Default)]
pub struct Accepted {
    /// `None` when nothing differs from the newest version.
    pub job: Option<Job>,
    /// Staged by the job, by path.
    pub staged: Vec<Document>,
    /// The corpus shows the same bytes under the same path, or will once a job that waits or runs has ended.
    pub unchanged: Vec<Known>,
}

impl Ingest {
    /// Keeps the files and queues a job that reads them. Paths must differ.
    pub async fn accept(&self, corpus: &Corpus, uploads: Vec<Upload>) -> Result<Accepted> {
        self.stores.catalog.bind_model(&corpus.id, &self.model()).await?;
        let _changing = self.stores.library.changing.lock().await;
        let library = self.stores.library.clone();
        let found = blocking(move || {
            let keep = |upload: Upload| {
                Ok(FoundFile { path: upload.path, file: library.keep(upload.received)?, place: None })
            };
            uploads.into_iter().map(keep).collect::<Result<Vec<_>>>()
        })
        .await??;
        let plan = self.stores.catalog.plan_upload(&corpus.id, found).await?;
        let plan = Plan { missing: Vec::new(), ..plan };
        if plan.added.is_empty() && plan.changed.is_empty() {
            return Ok(Accepted { unchanged: plan.unchanged, ..Accepted::default() });
        }
        let start = Start::Queue { kind: JobKind::Ingest, params: json!({"upload": true}) };
        let begun = self.stores.catalog.begin_ingest(&corpus.owner, &corpus.id, &plan, start).await?;
        let job = self.stores.catalog.job(&corpus.owner, begun.job.as_str()).await?;
        Ok(Accepted { job: Some(job), staged: begun.staged, unchanged: plan.unchanged })
    }

    /// Carries out a queued job, or goes on with one that its process left. `None`: somebody else has finished it.
    ///
    /// Errors: [`Error::Interrupted`] leaves it queued; [`Error::Cancelled`].
    pub async fn work(&self, job: &Job, progress: &Listener<'_>) -> Result<Option<AddReport>> {
        let _adding = self.stores.adding.lock().await;
        let catalog = &self.stores.catalog;
        let job = catalog.job(&job.owner, job.id.as_str()).await?;
        let Some(corpus) = &job.corpus else { return Ok(None) };
        if matches!(job.state, JobState::Succeeded | JobState::Cancelled) {
            return Ok(None);
        }
        if job.cancel_requested {
            self.discard(&job.id).await?;
            return Err(Error::Cancelled);
        }
        let corpus = catalog.corpus(&job.owner, corpus.as_str()).await?;
        let resume = Start::Resume(job.id.clone());
        catalog.begin_ingest(&corpus.owner, &corpus.id, &Plan::default(), resume).await?;
        let mut report = AddReport::default();
        let task = Task { queued: true, ..Task::new(job.id.clone()) };
        self.run(&corpus, task, &mut report, &mut Watch::new(progress)).await?;
        Ok(Some(report))
    }

    /// Throws a job away that nobody has begun, or that failed.
    pub async fn discard_idle(&self, job: &Job) -> Result<()> {
        match self.discard(&job.id).await {
            // Somebody began or ended it meanwhile; who works on it sees the request.
            Err(Error::Catalog(catalog::Error::JobFinished { .. })) => Ok(()),
            done => done,
        }
    }

    /// Before anything is prefilled: whether the owner's documents would take more KV than allowed.
    pub(crate) async fn check_quota(&self, corpus: &Corpus) -> Result<()> {
        let tokens = self.stores.catalog.planned_tokens(&corpus.owner).await?;
        let planned = tokens.saturating_mul(self.engine.kv_bytes_per_token());
        let limit = self.kv_bytes_per_owner;
        if planned > limit { Err(Error::KvQuota { planned, limit }) } else { Ok(()) }
    }
}
