//! Honest progress: done and total in the stage's own unit, the rate reached in this run, and what follows from it.

use std::time::{Duration, Instant};

/// The stages of an ingest in order, and those of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading what is stored to see whether it is sound.
    Check,
    /// Writing an archive.
    Pack,
    /// Reading an archive.
    Unpack,
    /// Reading every file to see what changed.
    Hash,
    /// Copying new originals.
    Store,
    /// Extraction and tokenisation.
    Extract,
    Prefill,
    /// Making the new version visible and its passages findable.
    Publish,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Pack => "pack",
            Self::Unpack => "unpack",
            Self::Hash => "hash",
            Self::Store => "store",
            Self::Extract => "extract",
            Self::Prefill => "prefill",
            Self::Publish => "publish",
        }
    }

    /// What `done` and `total` count.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Pack | Self::Unpack => "bytes",
            Self::Check | Self::Hash | Self::Store => "files",
            Self::Extract | Self::Publish => "documents",
            Self::Prefill => "tokens",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    pub stage: Stage,
    pub done: u64,
    pub total: u64,
    /// Units per second since the stage began in this run; 0 until something was done.
    pub rate: f64,
    /// Time left at that rate; `None` while there is no rate.
    pub eta: Option<Duration>,
    /// Units of `done` that belong to the step in hand: stopping now loses them.
    pub in_hand: u64,
}

impl Progress {
    pub fn unit(&self) -> &'static str {
        self.stage.unit()
    }
}

/// Measures one stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    stage: Stage,
    total: u64,
    done: u64,
    /// Done by an earlier run: part of `done`, not of the rate.
    found: u64,
    began: Instant,
}

impl Meter {
    pub fn new(stage: Stage, found: u64, total: u64) -> Self {
        Self { stage, total, done: found, found, began: Instant::now() }
    }

    pub fn add(&mut self, units: u64) {
        self.done += units;
    }

    /// `ahead`: units of the step in hand, not yet added.
    pub fn progress(&self, ahead: u64) -> Progress {
        let done = (self.done + ahead).min(self.total);
        let rate = (done - self.found.min(done)) as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        let left = (self.total - done) as f64;
        let eta = (rate > 0.0).then(|| Duration::try_from_secs_f64(left / rate).ok()).flatten();
        Progress { stage: self.stage, done, total: self.total, rate, eta, in_hand: ahead }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_did_counts_as_done_but_not_as_speed() {
        let mut meter = Meter::new(Stage::Prefill, 900, 1_000);
        let start = meter.progress(0);
        assert_eq!((start.done, start.total, start.rate, start.eta), (900, 1_000, 0.0, None));
        meter.add(50);
        let later = meter.progress(10);
        assert_eq!((later.done, later.in_hand), (960, 10));
        assert!(later.rate > 0.0 && later.eta.is_some());
        assert_eq!(meter.progress(10_000).done, 1_000);
    }
}
