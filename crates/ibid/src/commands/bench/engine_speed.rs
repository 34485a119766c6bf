//! `ibid bench prefill|decode`: the engine alone.

use super::{
    check_window, made_up_ids,
    measured::{Measured, report},
    stop_when_cancelled,
};
use crate::{cli::BenchEngine, event::Out};
use anyhow::Result;
use scout::{Engine, Step};
use serde_json::Map;
use std::{ops::ControlFlow, time::Instant};

/// Tokens written behind each context.
const DECODED: usize = 32;

/// A part of each length, behind the header.
pub fn prefill(engine: &Engine, args: &BenchEngine, out: &Out) -> Result<()> {
    let results = measure(engine, args, out, &mut |ids| {
        let start = Instant::now();
        engine.prefill_part(ids, &mut |_| ControlFlow::Continue(()))?;
        Ok(start.elapsed().as_secs_f64())
    })?;
    let results: Vec<_> = results.into_iter().map(|(n, s)| Measured::new("prefill", n, s)).collect();
    report("prefill", engine, &results, Map::new(), out);
    Ok(())
}

/// Greedy tokens behind each length.
pub fn decode(engine: &Engine, args: &BenchEngine, out: &Out) -> Result<()> {
    let results = measure(engine, args, out, &mut |ids| {
        let mut sequence = engine.sequence()?;
        let context = Step { sequence: &mut sequence, ids, logits: ids.len() - 1..ids.len(), mass: None };
        let mut next = scout::greedy(engine.step(&mut [context])?.logits.row(0));
        let start = Instant::now();
        for _ in 0..DECODED {
            let step = Step { sequence: &mut sequence, ids: &[next], logits: 0..1, mass: None };
            next = scout::greedy(engine.step(&mut [step])?.logits.row(0));
        }
        Ok(start.elapsed().as_secs_f64())
    })?;
    let results: Vec<_> =
        results.into_iter().map(|(n, s)| Measured::new("decode", n, s).counting(DECODED as u64)).collect();
    report("decode", engine, &results, Map::new(), out);
    Ok(())
}

/// For each length, the seconds that `once` took in each repetition.
fn measure(
    engine: &Engine,
    args: &BenchEngine,
    out: &Out,
    once: &mut dyn FnMut(&[u32]) -> Result<f64>,
) -> Result<Vec<(u64, Vec<f64>)>> {
    let mut measured = Vec::new();
    for &n in &args.tokens {
        check_window(engine, n, DECODED)?;
    }
    for &n in &args.tokens {
        let ids = made_up_ids(engine, n);
        let mut seconds = Vec::new();
        for _ in 0..args.repeat.max(1) {
            stop_when_cancelled(out)?;
            seconds.push(tokio::task::block_in_place(|| once(&ids))?);
        }
        measured.push((n as u64, seconds));
    }
    Ok(measured)
}
