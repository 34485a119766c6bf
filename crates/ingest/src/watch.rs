//! Who watches an ingest: its caller and, through the catalog, anybody else. Either may stop it.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use base::Id;
use catalog::Catalog;
use tokio::sync::mpsc;

use crate::{Error, Progress, Result, Stage, progress::Meter};

/// What a caller is told with; `Break` stops the work at its next safe point.
pub type Listener<'a> = dyn Fn(Progress) -> ControlFlow<()> + Sync + 'a;

/// Passes progress on: to the caller, who may stop the work, and to the catalog, through which others may.
pub(crate) struct Watch<'a> {
    progress: &'a Listener<'a>,
    pub job: Option<(&'a Catalog, Id)>,
    reported: Option<(Instant, Stage)>,
}

impl<'a> Watch<'a> {
    /// Time between two reports of a step that takes long.
    pub const PERIOD: Duration = Duration::from_millis(200);
    /// A report to the catalog is a durable commit.
    const CATALOG_PERIOD: Duration = Duration::from_secs(1);

    pub fn new(progress: &'a Listener<'a>) -> Self {
        Self { progress, job: None, reported: None }
    }

    pub async fn tell(&mut self, now: Progress) -> Result<()> {
        if (self.progress)(now).is_break() {
            return Err(Error::Interrupted);
        }
        let Some((catalog, job)) = &self.job else { return Ok(()) };
        if self.reported.is_some_and(|(at, stage)| stage == now.stage && at.elapsed() < Self::CATALOG_PERIOD)
        {
            return Ok(());
        }
        self.reported = Some((Instant::now(), now.stage));
        let report = catalog::Progress {
            stage: now.stage.as_str().to_owned(),
            done: now.done,
            total: now.total,
            unit: now.unit().to_owned(),
            rate: now.rate,
        };
        if catalog.report(job, &report).await? { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Told by work on a thread of its own how far it is.
pub(crate) struct Steps {
    done: mpsc::UnboundedSender<u64>,
    stopped: Arc<AtomicBool>,
}

impl Steps {
    /// `done`: units since the work began. `Break` when nobody waits for it any more.
    pub fn reached(&self, done: u64) -> ControlFlow<()> {
        // Nobody listens any more once the ingest was dropped; `stopped` says so too.
        let _ = self.done.send(done);
        if self.stopped.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Stops the thread at its next step when nobody waits for it any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Watch<'_> {
    /// Runs blocking work on a thread of its own and reports its steps, on top of what the meter counted, meanwhile.
    /// Nothing of the work goes on once this has returned.
    pub async fn follow<T: Send + 'static>(
        &mut self,
        meter: &Meter,
        work: impl FnOnce(Steps) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (report, mut reports) = mpsc::unbounded_channel();
        let stop = Stop(Arc::default());
        let steps = Steps { done: report, stopped: stop.0.clone() };
        let mut work = tokio::task::spawn_blocking(move || work(steps));
        let mut tick = tokio::time::interval(Self::PERIOD);
        let mut ahead = 0;
        loop {
            tokio::select! {
                done = &mut work => return done?,
                Some(done) = reports.recv() => ahead = done,
                _ = tick.tick() => if let Err(error) = self.tell(meter.progress(ahead)).await {
                    drop(stop);
                    // The caller gives its locks back: until the thread has met a step, it still writes under them.
                    let _ = work.await;
                    return Err(error);
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stopped_work_has_ended_when_its_caller_goes_on() {
        let ended = Arc::new(AtomicBool::new(false));
        let ends = ended.clone();
        let work = move |steps: Steps| {
            while steps.reached(1).is_continue() {
                std::thread::sleep(Duration::from_millis(1));
            }
            // What a step may still have to write.
            std::thread::sleep(Duration::from_millis(50));
            ends.store(true, Relaxed);
            Ok(())
        };
        let mut watch = Watch::new(&|_| ControlFlow::Break(()));
        let outcome = watch.follow(&Meter::new(Stage::Unpack, 0, 1), work).await;
        assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
        assert!(ended.load(Relaxed));
    }
}
