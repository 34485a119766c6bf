//! Times questions that run at once, on request: `questions MODEL` prints one line of JSON.
//!
//! Eight questions, each a thread with one sequence: a context that is composed before the clock starts, then the
//! question's tokens and 64 decoded ones. At once against in a row, alternating; then the time to the first token of
//! one question, idle and while prefill runs without end. Best of the repeats for the first two, median for the others.

use anyhow::{Context, Result};
use scout::{Engine, Numerics, Sequence, Step, greedy};
use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const N_QUESTIONS: usize = 8;
const N_DECODE: usize = 64;
const CONTEXT: usize = 512;
const QUESTION: usize = 32;
const REPEATS: usize = 3;
const FIRST_TOKENS: usize = 15;

fn main() -> Result<()> {
    let model = std::env::args().nth(1).or_else(|| std::env::var("IBID_TEST_MODEL").ok());
    let model = model.context("usage: questions MODEL")?;
    let cache = tempfile::tempdir()?;
    let engine = Engine::open(Path::new(&model), Numerics::Fast, cache.path(), &mut |_| ())?;
    let (mut in_a_row, mut at_once) = (f64::MAX, f64::MAX);
    let contexts = contexts(&engine)?;
    for _ in 0..REPEATS {
        in_a_row = in_a_row.min(seconds(&engine, &contexts, false)?);
        at_once = at_once.min(seconds(&engine, &contexts, true)?);
    }
    let idle = first_token_ms(&engine, &contexts)?;
    let (prefilled, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (busy, rate) = thread::scope(|scope| {
        scope.spawn(|| prefill(&engine, &prefilled, &stop));
        let busy = first_token_ms(&engine, &contexts);
        let rate = prefill_rate_while_asking(&engine, &contexts, &prefilled);
        stop.store(true, Ordering::Relaxed);
        Ok::<_, anyhow::Error>((busy?, rate?))
    })?;
    let result = serde_json::json!({
        "questions": N_QUESTIONS,
        "in_a_row_s": in_a_row,
        "at_once_s": at_once,
        "ratio": at_once / in_a_row,
        "first_token_idle_ms": idle,
        "first_token_beside_prefill_ms": busy,
        "prefill_layers_per_s_while_asking": rate,
        "optimised": !cfg!(debug_assertions),
    });
    println!("{result}");
    Ok(())
}

/// Reproducible ids that are no special tokens.
fn some_ids(n: usize, seed: usize) -> Vec<u32> {
    (0..n).map(|i| 100 + ((i + seed * 7919).wrapping_mul(2_654_435_761) >> 7) as u32 % 40_000).collect()
}

fn contexts(engine: &Engine) -> Result<Vec<Sequence>> {
    let context = |seed| {
        let mut sequence = engine.sequence()?;
        let ids = some_ids(CONTEXT, seed);
        engine.step(&mut [Step { sequence: &mut sequence, ids: &ids, logits: 0..0, mass: None }])?;
        Ok(sequence)
    };
    (0..N_QUESTIONS).map(context).collect()
}

/// All questions, from the first token read to the last one decoded.
fn seconds(engine: &Engine, contexts: &[Sequence], at_once: bool) -> Result<f64> {
    let sequences: Vec<Sequence> = contexts.iter().map(Sequence::fork).collect();
    let start = Instant::now();
    if at_once {
        thread::scope(|scope| {
            let ask = |sequence| scope.spawn(|| answer(engine, sequence));
            let threads: Vec<_> = sequences.into_iter().map(ask).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no answer panics"))
        })?;
    } else {
        sequences.into_iter().try_for_each(|sequence| answer(engine, sequence))?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn answer(engine: &Engine, mut sequence: Sequence) -> Result<()> {
    let question = engine.question("local");
    let mut ids = some_ids(QUESTION, 99);
    for _ in 0..N_DECODE {
        let last = ids.len() - 1..ids.len();
        let step = Step { sequence: &mut sequence, ids: &ids, logits: last, mass: None };
        ids = vec![greedy(question.step(&mut [step])?.logits.row(0))];
    }
    Ok(())
}

/// Median over questions that come one by one, with pauses in which prefill gets going.
fn first_token_ms(engine: &Engine, contexts: &[Sequence]) -> Result<f64> {
    let ids = some_ids(QUESTION, 99);
    let mut times = Vec::new();
    for sequence in contexts.iter().cycle().take(FIRST_TOKENS) {
        let mut sequence = sequence.fork();
        thread::sleep(Duration::from_millis(150));
        let start = Instant::now();
        let question = engine.question("local");
        let step = Step { sequence: &mut sequence, ids: &ids, logits: QUESTION - 1..QUESTION, mass: None };
        greedy(question.step(&mut [step])?.logits.row(0));
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[FIRST_TOKENS / 2])
}

/// Prefills part after part and counts layers.
fn prefill(engine: &Engine, layers: &AtomicU64, stop: &AtomicBool) {
    let mut control = |_| {
        layers.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    while engine.prefill_part(&some_ids(512, 1), &mut control).is_ok() {}
}

/// What prefill gets while one question follows the other.
fn prefill_rate_while_asking(engine: &Engine, contexts: &[Sequence], layers: &AtomicU64) -> Result<f64> {
    let (start, before) = (Instant::now(), layers.load(Ordering::Relaxed));
    contexts.iter().try_for_each(|sequence| answer(engine, sequence.fork()))?;
    Ok((layers.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64())
}
