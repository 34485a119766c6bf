//! One forward pass over the tiles of several calls. What goes wrong hits the call that caused it and no other.

use super::{call::Call, queue::CallId};
use crate::{
    Error, Result,
    forward::{Batch, Run},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Why a call did not end well.
pub(super) enum Failure {
    Error(Error),
    /// To be resumed in the caller's thread.
    Panic(Box<dyn Any + Send>),
}

pub(super) type Outcome = std::result::Result<(), Failure>;

/// Runs the calls' tiles together and gives an outcome for each call. A pass that fails is run again call by call, which
/// changes no bit of those that are well; those that are cancelled are not run again, and fail in any case.
pub(super) fn run(run: &dyn Run, calls: &mut [(CallId, Call)]) -> Vec<Outcome> {
    if calls.is_empty() {
        return Vec::new();
    }
    match attempt(run, calls) {
        // What was computed for those who are cancelled has no meaning.
        Ok(()) => calls.iter().map(|(_, call)| call.cancel.check().map_err(Failure::Error)).collect(),
        Err(failure) if calls.len() == 1 => vec![Err(failure)],
        Err(_) => calls.iter_mut().map(|call| attempt_alone(run, call)).collect(),
    }
}

fn attempt_alone(run: &dyn Run, call: &mut (CallId, Call)) -> Outcome {
    call.1.cancel.check().map_err(Failure::Error)?;
    attempt(run, std::slice::from_mut(call))?;
    call.1.cancel.check().map_err(Failure::Error)
}

fn attempt(run: &dyn Run, calls: &mut [(CallId, Call)]) -> Outcome {
    // A pass changes nothing but the sequences, and those are put back to where they were.
    let failure = match catch_unwind(AssertUnwindSafe(|| forward(run, calls))) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => Failure::Error(error),
        Err(payload) => Failure::Panic(payload),
    };
    calls.iter_mut().for_each(|(_, call)| call.undo_tiles());
    Err(failure)
}

/// Stops at the next gate when nobody wants the result any more. While anybody does it goes on: those who are cancelled
/// do not wait for it.
fn forward(run: &dyn Run, calls: &mut [(CallId, Call)]) -> Result<()> {
    let cancels: Vec<_> = calls.iter().map(|(_, call)| call.cancel.clone()).collect();
    let mut batches: Vec<Batch<'_>> = calls.iter_mut().flat_map(|(_, call)| call.batches()).collect();
    let logits = run.forward(&mut batches, &mut |_| {
        if cancels.iter().all(|cancel| cancel.is_cancelled()) { Err(Error::Cancelled) } else { Ok(()) }
    })?;
    let masses: Vec<_> = batches.into_iter().map(|batch| batch.mass).collect();
    let (mut rows, mut masses) = ((0..logits.n_rows()).map(|row| logits.row(row)), masses.into_iter());
    calls.iter_mut().for_each(|(_, call)| call.accept(&mut rows, &mut masses));
    Ok(())
}
