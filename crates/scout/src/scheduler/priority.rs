//! When prefill may run: not while questions do, but for a small share of its own.
//!
//! A question holds prefill back from its start and as long as it keeps coming: one that lets [`HOLD`] pass between two
//! steps (it waits for a disk, or for a segment that is being rebuilt by prefill itself) no longer does. Where questions
//! never stop, prefill runs one layer of a tile every [`SHARE_AFTER`], all prefills of the process together.

use std::time::{Duration, Instant};

/// How long a question holds prefill back after it started or got a result.
pub(super) const HOLD: Duration = Duration::from_millis(50);
/// How long prefill is held back before it runs one layer nonetheless. A layer of a full tile of the default model takes
/// about a tenth of it.
pub(super) const SHARE_AFTER: Duration = Duration::from_millis(250);

/// Prefill's share while questions run.
#[derive(Default)]
pub(super) struct Share {
    last: Option<Instant>,
}

impl Share {
    #[cfg(test)]
    pub fn taken(at: Instant) -> Self {
        Self { last: Some(at) }
    }

    /// How long a prefill that waits since `since` has to sleep before it asks again; `None`: it may run a layer now.
    pub fn wait(&mut self, since: Instant, now: Instant, held: bool) -> Option<Duration> {
        if !held {
            return None;
        }
        let due = self.last.map_or(since, |last| last.max(since)) + SHARE_AFTER;
        if now < due {
            return Some((due - now).min(HOLD));
        }
        self.last = Some(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn prefill_runs_at_once_when_nothing_holds_it() {
        let start = Instant::now();
        assert_eq!(Share::default().wait(start, start, false), None);
    }

    #[test]
    fn prefill_gets_one_layer_in_every_interval_however_many_wait() {
        let (mut share, start) = (Share::default(), Instant::now());
        let mut wait = |since: u64, now: u64| share.wait(start + ms(since), start + ms(now), true);
        assert_eq!(wait(0, 0), Some(HOLD), "asks again when the question may be idle");
        assert_eq!(wait(0, 230), Some(ms(20)));
        assert_eq!(wait(0, 250), None, "the share");
        assert_eq!(wait(10, 261), Some(HOLD), "another prefill waits as long, but the share was just taken");
        assert_eq!(wait(270, 500), Some(ms(20)), "the first one comes after the other");
        assert_eq!(wait(10, 500), None);
        assert_eq!(wait(270, 749), Some(ms(1)));
        assert_eq!(wait(270, 750), None);
    }
}
