//! The queue of ingest jobs: one is worked on at a time, owners take turns. The jobs themselves live in the catalog; a
//! restart finds them there.

use super::turns::Turns;
use crate::event::Cancel;
use catalog::{Job, JobKind, JobState};
use ingest::{Error, Ingest, Progress, Stage};
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{sync::Notify, task::JoinHandle};

pub struct JobQueue {
    ingest: Ingest,
    waiting: Arc<Waiting>,
    worker: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

struct Waiting {
    jobs: Mutex<Turns<Job>>,
    more: Notify,
    stopping: Cancel,
    /// Tokens a second of the newest prefill, as bits; 0 before the first.
    prefill_rate: AtomicU64,
}

/// Tokens after which a rate says something about the next document.
const STEADY_TOKENS: u64 = 2_000;

impl JobQueue {
    pub fn new(ingest: Ingest, stopping: Cancel) -> Self {
        let waiting = Arc::new(Waiting {
            jobs: Mutex::default(),
            more: Notify::new(),
            stopping,
            prefill_rate: AtomicU64::new(0),
        });
        let worker = tokio::spawn(work(ingest.clone(), waiting.clone()));
        Self { ingest, waiting, worker: Some(worker).into() }
    }

    /// Queues what an earlier process left.
    pub async fn resume(&self) -> Result<(), catalog::Error> {
        let catalog = &self.ingest.stores.catalog;
        for job in catalog.interrupted_ingests().await? {
            if !job.cancel_requested {
                catalog.requeue_job(&job.id).await?;
            }
        }
        for job in catalog.unfinished().await? {
            if job.kind == JobKind::Ingest {
                self.push(job);
            }
        }
        Ok(())
    }

    pub fn push(&self, job: Job) {
        self.waiting.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(job.owner.clone(), job);
        self.waiting.more.notify_one();
    }

    /// Asks a job to stop; one that has not begun is thrown away at once.
    pub async fn cancel(&self, owner: &str, id: &str) -> Result<Job, Error> {
        let catalog = &self.ingest.stores.catalog;
        let job = catalog.request_cancel(owner, id).await?;
        if job.state == JobState::Queued {
            self.ingest.discard_queued(&job).await?;
        }
        Ok(catalog.job(owner, id).await?)
    }

    /// Tokens a second that documents were read with last; `None` before the first long enough ones.
    pub fn prefill_rate(&self) -> Option<f64> {
        let rate = f64::from_bits(self.waiting.prefill_rate.load(Relaxed));
        (rate > 0.0).then_some(rate)
    }

    /// Waits until the job at work has stopped at a safe point.
    pub async fn stop(&self) {
        self.waiting.stopping.request();
        self.waiting.more.notify_one();
        if let Some(worker) = self.worker.lock().await.take() {
            let _ = worker.await;
        }
    }
}

async fn work(ingest: Ingest, waiting: Arc<Waiting>) {
    while !waiting.stopping.requested() {
        let next = waiting.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(job) = next else {
            waiting.more.notified().await;
            continue;
        };
        let go_on = |now: Progress| {
            if now.stage == Stage::Prefill && now.done >= STEADY_TOKENS {
                waiting.prefill_rate.store(now.rate.to_bits(), Relaxed);
            }
            match waiting.stopping.requested() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        match ingest.work(&job, &go_on).await {
            Ok(_) | Err(Error::Cancelled | Error::Interrupted) => {}
            // The job holds the reason; the queue goes on.
            Err(error) => tracing::warn!(job = job.id.as_str(), "the job failed: {error}"),
        }
    }
}
