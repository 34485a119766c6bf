//! `ibid bench prefill|decode`: the engine alone.

use super::{
    check_window, made_up_ids,
    measured::{Measured, report},
    peak, stop_when_cancelled,
};
use crate::{
    cli::BenchEngine,
    data_folder::DataFolder,
    event::Out,
    owner::{open_engine, open_timed_engine},
    settings::Settings,
};
use anyhow::Result;
use scout::{Engine, Stage, StageWork, Stages, Step};
use serde_json::{Map, json};
use std::{ops::ControlFlow, sync::Arc, time::Instant};

/// Tokens written behind each context.
const DECODED: usize = 32;

/// An engine, with a clock where the stages were asked for.
struct Subject {
    engine: Arc<Engine>,
    clock: Option<Arc<Stages>>,
}

/// One repetition.
struct Timing {
    seconds: f64,
    stages: Vec<(Stage, StageWork)>,
}

impl Subject {
    async fn open(data: &DataFolder, settings: &Settings, args: &BenchEngine, out: &Out) -> Result<Self> {
        if args.stages {
            let (engine, clock) = open_timed_engine(data, settings, out).await?;
            return Ok(Self { engine, clock: Some(clock) });
        }
        Ok(Self { engine: open_engine(data, settings, out).await?, clock: None })
    }

    fn time(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        if let Some(clock) = &self.clock {
            clock.take();
        }
        let start = Instant::now();
        work()?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Timing { seconds, stages: self.clock.iter().flat_map(|clock| clock.take()).collect() })
    }

    /// Each length so many times, after one time that does not count: it packs the weights.
    fn measure(
        &self,
        name: &str,
        args: &BenchEngine,
        out: &Out,
        once: &dyn Fn(&[u32]) -> Result<Timing>,
    ) -> Result<Vec<Measured>> {
        for &n in &args.tokens {
            check_window(&self.engine, n, DECODED)?;
        }
        if let Some(&n) = args.tokens.iter().min() {
            tokio::task::block_in_place(|| once(&made_up_ids(&self.engine, n)))?;
        }
        let mut measured = Vec::new();
        for &n in &args.tokens {
            let ids = made_up_ids(&self.engine, n);
            let mut timings = Vec::new();
            for _ in 0..args.repeat.max(1) {
                stop_when_cancelled(out)?;
                timings.push(tokio::task::block_in_place(|| once(&ids))?);
            }
            let seconds = timings.iter().map(|timing| timing.seconds).collect();
            let stages = timings.iter().map(|timing| timing.stages.as_slice());
            measured.push(Measured::new(name, n as u64, seconds).with_stages(stages));
        }
        Ok(measured)
    }

    /// The stages stand beside what this machine could do at best.
    fn totals(&self) -> Map<String, serde_json::Value> {
        let peak =
            self.clock.as_ref().map(|_| ("int8_peak_operations_per_s".to_owned(), json!(peak::int8())));
        peak.into_iter().collect()
    }
}

/// A part of each length, behind the header.
pub async fn prefill(data: &DataFolder, settings: &Settings, args: &BenchEngine, out: &Out) -> Result<()> {
    let subject = Subject::open(data, settings, args, out).await?;
    let engine = &subject.engine;
    let results = subject.measure("prefill", args, out, &|ids| {
        subject.time(|| {
            engine.prefill_part(ids, &mut |_| ControlFlow::Continue(()))?;
            Ok(())
        })
    })?;
    report("prefill", engine, &results, subject.totals(), out);
    Ok(())
}

/// Greedy tokens behind each length.
pub async fn decode(data: &DataFolder, settings: &Settings, args: &BenchEngine, out: &Out) -> Result<()> {
    let subject = Subject::open(data, settings, args, out).await?;
    let engine = &subject.engine;
    let results = subject.measure("decode", args, out, &|ids| {
        let mut sequence = engine.sequence()?;
        let context = Step { sequence: &mut sequence, ids, logits: ids.len() - 1..ids.len(), mass: None };
        let mut next = scout::greedy(engine.step(&mut [context])?.logits.row(0));
        subject.time(|| {
            for _ in 0..DECODED {
                let step = Step { sequence: &mut sequence, ids: &[next], logits: 0..1, mass: None };
                next = scout::greedy(engine.step(&mut [step])?.logits.row(0));
            }
            Ok(())
        })
    })?;
    let results: Vec<_> = results.into_iter().map(|one| one.counting(DECODED as u64)).collect();
    report("decode", engine, &results, subject.totals(), out);
    Ok(())
}
