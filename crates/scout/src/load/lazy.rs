//! Weights that are packed when they are first needed: a model of any size is open at once, and a pass that ends early
//! packs no more than it reached.

use crate::Result;
use std::sync::{Mutex, OnceLock, PoisonError};

pub struct Lazy<T> {
    made: OnceLock<T>,
    making: Mutex<()>,
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self { made: OnceLock::new(), making: Mutex::new(()) }
    }
}

impl<T> Lazy<T> {
    /// Errors: those of `make`, which is tried again the next time.
    pub fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.made.get().is_none() {
            let made = make()?;
            return Ok(self.made.get_or_init(|| made));
        }
        Ok(self.made.get().expect("made while this one waited"))
    }
}
