//! `ibid bench`: how fast the engine is here, on synthetic tokens. No timing is ever a test.

use crate::{
    cli::{Bench, BenchKind},
    data_folder::DataFolder,
    event::Out,
    owner::{Exit, open_engine},
    problem::Failure,
    settings::Settings,
};
use anyhow::Result;
use scout::{Engine, Step};
use serde_json::json;
use std::{ops::ControlFlow, time::Instant};

const DECODED: usize = 32;

pub async fn run(data: &DataFolder, settings: &Settings, args: &Bench, out: &Out) -> Result<Exit> {
    let engine = open_engine(data, settings, out).await?;
    let name = match args.kind {
        BenchKind::Prefill => "prefill",
        BenchKind::Decode => "decode",
    };
    for &n in &args.tokens {
        let window = engine.config().window as usize;
        if n == 0 || n + engine.header().ids.len() + DECODED > window {
            let detail = format!("{n} tokens do not fit the window of {window} beside header and answer");
            return Err(Failure::new(400, "too_long", detail).into());
        }
        let mut rates = Vec::new();
        for _ in 0..args.repeat.max(1) {
            if out.cancel.requested() {
                return Err(Failure::cancelled().into());
            }
            rates.push(tokio::task::block_in_place(|| match args.kind {
                BenchKind::Prefill => prefill(&engine, n),
                BenchKind::Decode => decode(&engine, n),
            })?);
        }
        rates.sort_by(f64::total_cmp);
        let (median, best) = (rates[rates.len() / 2], rates[rates.len() - 1]);
        out.line(format_args!(
            "{name} at {n} tokens: {median:.1} tokens/s (best {best:.1} of {})",
            rates.len()
        ));
        out.object(json!({
            "object": "bench", "kind": name, "model": engine.name(), "numerics": engine.numerics(), "tokens": n,
            "tokens_per_s": { "median": median, "best": best, "runs": rates },
        }));
    }
    Ok(Exit::Done)
}

/// Spread over the vocabulary; the arithmetic does not depend on which tokens they are.
fn synthetic(engine: &Engine, n: usize) -> Vec<u32> {
    let vocab = engine.tokenizer().vocab_size();
    (0..n as u64).map(|i| (i * 7919 % vocab) as u32).collect()
}

fn prefill(engine: &Engine, n: usize) -> Result<f64> {
    let ids = synthetic(engine, n);
    let start = Instant::now();
    engine.prefill_part(&ids, &mut |_| ControlFlow::Continue(()))?;
    Ok(n as f64 / start.elapsed().as_secs_f64())
}

/// Greedy tokens behind `n` others.
fn decode(engine: &Engine, n: usize) -> Result<f64> {
    let mut sequence = engine.sequence();
    let ids = synthetic(engine, n);
    let context = Step { sequence: &mut sequence, ids: &ids, logits: n - 1..n, mass: None };
    let mut next = scout::greedy(engine.step(&mut [context])?.logits.row(0));
    let start = Instant::now();
    for _ in 0..DECODED {
        let step = Step { sequence: &mut sequence, ids: &[next], logits: 0..1, mass: None };
        next = scout::greedy(engine.step(&mut [step])?.logits.row(0));
    }
    Ok(DECODED as f64 / start.elapsed().as_secs_f64())
}
