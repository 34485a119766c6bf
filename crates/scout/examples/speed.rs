//! Times prefill and decode of the engine, on request: `bench/llama_cpp/compare.py` alternates it with llama.cpp.
//!
//! `speed MODEL IDS.json` reads lines `N_CONTEXT N_DECODE N_SEQUENCES` from standard input. For each, so many new
//! sequences prefill that many of the ids, one after another, and then decode the ids that follow, together; it writes
//! one line of JSON. Logits are computed for the last prefilled token and for every decoded one.

use anyhow::{Result, ensure};
use scout::{Engine, Numerics, Sequence, Step, greedy};
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
        anyhow::bail!("usage: speed MODEL IDS.json < lines of N_CONTEXT N_DECODE N_SEQUENCES");
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
        let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let &[n_context, n_decode, n_sequences] = numbers.as_slice() else {
            anyhow::bail!("a line is N_CONTEXT N_DECODE N_SEQUENCES, not {line:?}");
        };
        ensure!(0 < n_context && n_context + n_decode <= ids.len(), "{} ids are too few", ids.len());
        let (context, next) = (&ids[..n_context], &ids[n_context..n_context + n_decode]);
        announce(&measure(&engine, context, next, n_sequences)?)?;
    }
    Ok(())
}

fn measure(engine: &Engine, context: &[u32], next: &[u32], n_sequences: usize) -> Result<serde_json::Value> {
    // Without the header, so that both engines run exactly these tokens.
    let mut sequences: Vec<Sequence> = (0..n_sequences).map(|_| engine.empty_sequence()).collect();
    let start = Instant::now();
    let mut after_prefill = 0;
    let n_tiles = context.len().div_ceil(TILE);
    for sequence in &mut sequences {
        for (tile, ids) in context.chunks(TILE).enumerate() {
            let wanted = if tile + 1 == n_tiles { ids.len() - 1..ids.len() } else { 0..0 };
            let decoding = engine.step(&mut [Step { sequence, ids, logits: wanted, mass: None }])?;
            if tile + 1 == n_tiles {
                after_prefill = greedy(decoding.logits.row(0));
            }
        }
    }
    let prefill_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut after_decode = after_prefill;
    for id in next {
        let ids = std::slice::from_ref(id);
        let step = |sequence| Step { sequence, ids, logits: 0..1, mass: None };
        let mut steps: Vec<Step<'_>> = sequences.iter_mut().map(step).collect();
        after_decode = greedy(engine.step(&mut steps)?.logits.row(n_sequences - 1));
    }
    let decode_s = start.elapsed().as_secs_f64();
    Ok(serde_json::json!({
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
