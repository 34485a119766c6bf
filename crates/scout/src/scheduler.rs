//! Who may use the engine now: interactive questions go ahead of prefill.
//!
//! Prefill asks `Gate::give_way` after every layer of a tile and sleeps there while a question runs; the tile's state
//! stays where it is.

use std::sync::{Condvar, Mutex, PoisonError};

/// Counts running questions.
#[derive(Default)]
pub struct Gate {
    interactive: Mutex<usize>,
    changed: Condvar,
}

/// Held while a question runs.
pub struct Interactive<'a>(&'a Gate);

impl Gate {
    pub fn interactive(&self) -> Interactive<'_> {
        *self.count() += 1;
        Interactive(self)
    }

    /// Returns once no question is running.
    pub fn give_way(&self) {
        let mut count = self.count();
        while *count > 0 {
            count = self.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
    }

    // The count stays right when a thread dies while holding it: only whole steps happen under the lock.
    fn count(&self) -> std::sync::MutexGuard<'_, usize> {
        self.interactive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Interactive<'_> {
    fn drop(&mut self) {
        *self.0.count() -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    };

    #[test]
    fn prefill_waits_for_the_question_and_then_goes_on() {
        let gate = Arc::new(Gate::default());
        let question = gate.interactive();
        let passed = Arc::new(AtomicBool::new(false));
        let (started, has_started) = mpsc::channel();
        let thread = std::thread::spawn({
            let (gate, passed) = (gate.clone(), passed.clone());
            move || {
                started.send(()).unwrap();
                gate.give_way();
                passed.store(true, Ordering::SeqCst);
            }
        });
        has_started.recv().unwrap();
        assert!(!passed.load(Ordering::SeqCst));
        drop(question);
        thread.join().unwrap();
        assert!(passed.load(Ordering::SeqCst));
    }
}
