//! Times prefill and decode of the engine, on request: `bench/llama_cpp/compare.py` alternates it with llama.cpp.
//!
//! `speed MODEL IDS.json` reads lines `N_CONTEXT N_DECODE` from standard input. For each it prefills that many of the
//! ids in a new sequence, decodes the ids that follow one by one, and writes one line of JSON. Logits are computed
//! for the last prefilled token and for every decoded one.

use anyhow::{Context, Result, ensure};
use scout::{Engine, Numerics, Step, greedy};
use std::{
    io::{BufRead, Write},
    path::Path,
    time::Instant,
};

/// Tokens that run through all layers together; llama.cpp's batch in the comparison.
const TILE: usize = 512;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, ids] = arguments.as_slice() else {
        anyhow::bail!("usage: speed MODEL IDS.json < lines of N_CONTEXT N_DECODE");
    };
    let ids: Vec<u32> = serde_json::from_slice(&std::fs::read(ids)?)?;
    let cache = tempfile::tempdir()?;
    let engine = Engine::open(Path::new(model), Numerics::Fast, cache.path(), &mut |_| ())?;
    announce(&serde_json::json!({
        "engine": "ibid",
        "numerics": engine.numerics(),
        "instructions": compute::Isa::best().name(),
        "threads": rayon::current_num_threads(),
        "optimised": !cfg!(debug_assertions),
    }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (n_context, n_decode) = line.split_once(' ').context("a line is N_CONTEXT N_DECODE")?;
        let (n_context, n_decode): (usize, usize) = (n_context.parse()?, n_decode.parse()?);
        ensure!(0 < n_context && n_context + n_decode <= ids.len(), "{} ids are too few", ids.len());
        announce(&measure(&engine, &ids[..n_context], &ids[n_context..n_context + n_decode])?)?;
    }
    Ok(())
}

fn measure(engine: &Engine, context: &[u32], next: &[u32]) -> Result<serde_json::Value> {
    // Without the header, so that both engines run exactly these tokens.
    let mut sequence = engine.empty_sequence();
    let start = Instant::now();
    let mut after_prefill = 0;
    let n_tiles = context.len().div_ceil(TILE);
    for (tile, ids) in context.chunks(TILE).enumerate() {
        let wanted = if tile + 1 == n_tiles { ids.len() - 1..ids.len() } else { 0..0 };
        let step = Step { sequence: &mut sequence, ids, logits: wanted, mass: None };
        let decoding = engine.step(&mut [step])?;
        if tile + 1 == n_tiles {
            after_prefill = greedy(decoding.logits.row(0));
        }
    }
    let prefill_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut after_decode = after_prefill;
    for id in next {
        let ids = std::slice::from_ref(id);
        let step = Step { sequence: &mut sequence, ids, logits: 0..1, mass: None };
        after_decode = greedy(engine.step(&mut [step])?.logits.row(0));
    }
    let decode_s = start.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "n_context": context.len(),
        "n_decode": next.len(),
        "prefill_s": prefill_s,
        "decode_s": decode_s,
        "after_prefill": after_prefill,
        "after_decode": after_decode,
    }))
}

/// One line, sent at once: the reader waits for it.
fn announce(value: &serde_json::Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
