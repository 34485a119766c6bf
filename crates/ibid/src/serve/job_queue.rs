//! The queue of ingest jobs: one is worked on at a time, owners take turns, in the middle of a long job too. The jobs
//! themselves live in the catalog; a restart finds them there.

use super::turns::Turns;
use crate::event::Cancel;
use catalog::{Job, JobKind, JobState};
use ingest::{Error, Ingest, Progress, Stage};
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
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

/// How long a job is worked on, at least, before another owner's has its turn.
const TURN: Duration = Duration::from_secs(20);
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
        // Those that were asked to stop too: whoever takes them up throws them away.
        for job in catalog.interrupted_ingests().await? {
            catalog.requeue_job(&job.id).await?;
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

    /// Asks a job to stop; one that has not begun, or that failed, is thrown away at once.
    pub async fn cancel(&self, owner: &str, id: &str) -> Result<Job, Error> {
        let catalog = &self.ingest.stores.catalog;
        let mut job = catalog.job(owner, id).await?;
        if job.state != JobState::Failed {
            job = catalog.request_cancel(owner, id).await?;
        }
        if matches!(job.state, JobState::Queued | JobState::Failed) {
            self.ingest.discard_idle(&job).await?;
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

impl Waiting {
    fn has_others(&self, owner: &str) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.len() > jobs.of(owner)
    }
}

/// Whether a job makes room for one of another owner: only where nothing is lost by it, and once it has got on in this
/// turn, or two slow ones would send each other away for ever.
fn turn_is_over(now: &Progress, worked: Duration, others_wait: bool) -> bool {
    others_wait && worked >= TURN && now.in_hand == 0 && now.rate > 0.0
}

async fn work(ingest: Ingest, waiting: Arc<Waiting>) {
    while !waiting.stopping.requested() {
        let next = waiting.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(job) = next else {
            waiting.more.notified().await;
            continue;
        };
        let began = OnceLock::new();
        let go_on = |now: Progress| {
            let worked = began.get_or_init(Instant::now).elapsed();
            if now.stage == Stage::Prefill && now.done >= STEADY_TOKENS {
                waiting.prefill_rate.store(now.rate.to_bits(), Relaxed);
            }
            match waiting.stopping.requested() || turn_is_over(&now, worked, waiting.has_others(&job.owner)) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        match ingest.work(&job, &go_on).await {
            Ok(_) | Err(Error::Cancelled) => {}
            // It goes on behind the owners that wait, with all that it has read.
            Err(Error::Interrupted) => {
                waiting.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(job.owner.clone(), job);
            }
            // The job holds the reason; the queue goes on.
            Err(error) => tracing::warn!(job = job.id.as_str(), "the job failed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_for_another_owner_between_two_steps_once_the_job_has_got_on() {
        let now = |rate, in_hand| Progress {
            stage: Stage::Prefill,
            done: 900,
            total: 1_000,
            rate,
            eta: None,
            in_hand,
        };
        assert!(turn_is_over(&now(9.0, 0), TURN, true));
        assert!(!turn_is_over(&now(9.0, 0), TURN, false), "nobody else waits");
        assert!(!turn_is_over(&now(9.0, 0), TURN / 2, true), "it has just begun");
        assert!(!turn_is_over(&now(9.0, 1), TURN, true), "a part is in hand");
        assert!(!turn_is_over(&now(0.0, 0), TURN, true), "nothing was done yet");
    }

    #[test]
    fn only_jobs_of_other_owners_end_a_turn() {
        let jobs = Mutex::new(Turns::default());
        let (more, stopping, prefill_rate) = (Notify::new(), Cancel::default(), AtomicU64::new(0));
        let waiting = Waiting { jobs, more, stopping, prefill_rate };
        waiting.jobs.lock().unwrap().push("a".to_owned(), job("a"));
        assert!(!waiting.has_others("a") && waiting.has_others("b"));
    }

    fn job(owner: &str) -> Job {
        Job {
            id: base::Id::new(base::IdKind::Job, 0, 0),
            owner: owner.to_owned(),
            corpus: None,
            kind: JobKind::Ingest,
            state: JobState::Queued,
            progress: catalog::Progress::default(),
            cancel_requested: false,
            error: None,
            params: serde_json::Value::Null,
            created_ms: 0,
            heartbeat_ms: 0,
            finished_ms: None,
        }
    }
}
