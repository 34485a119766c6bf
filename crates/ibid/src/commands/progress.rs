//! Progress of the slow commands: passed on to whoever listens, and stopped when they ask for it.

use crate::event::{Event, Out, Progress};
use std::ops::ControlFlow;

pub fn tell(progress: ingest::Progress, out: &Out) -> ControlFlow<()> {
    out.send(Event::Progress(Progress {
        stage: progress.stage.as_str().into(),
        unit: progress.unit().into(),
        done: progress.done,
        total: progress.total,
        rate: progress.rate,
        eta_s: progress.eta.map(|eta| eta.as_secs()),
    }));
    if out.cancel.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
