//! `ibid bench restore`: stored KV pages from disk to the first attend over them.

use super::{
    check_window, made_up_ids,
    measured::{Measured, median, rate, report},
    own_process::{forget_pages, storage_bytes_read},
    scratch::Scratch,
    stop_when_cancelled,
    stored_context::StoredContext,
};
use crate::{cli::BenchRestore, data_folder::DataFolder, event::Out, owner::open_engine, settings::Settings};
use anyhow::Result;
use scout::{Engine, Step};
use serde_json::{Map, Value};
use std::time::Instant;

/// One repetition.
struct Restoring {
    /// Opening, reading and checking.
    read_s: f64,
    /// Until one token was run behind the pages.
    seconds: f64,
    bytes: u64,
    /// What the disk delivered of it, where the system tells.
    storage_bytes: Option<u64>,
}

pub async fn run(data: &DataFolder, settings: &Settings, args: &BenchRestore, out: &Out) -> Result<()> {
    let engine = open_engine(data, settings, out).await?;
    for &n in &args.tokens {
        check_window(&engine, n, 1)?;
    }
    let mut results = Vec::new();
    for &n in &args.tokens {
        let scratch = Scratch::new(data)?;
        results.extend(tokio::task::block_in_place(|| {
            let stored = StoredContext::write(&engine, &made_up_ids(&engine, n), scratch.path(), out)?;
            both_ways(&engine, settings, &stored, n as u64, args.repeat.max(1), out)
        })?);
    }
    report("restore", &engine, &results, Map::new(), out);
    Ok(())
}

fn both_ways(
    engine: &Engine,
    settings: &Settings,
    stored: &StoredContext,
    n_tokens: u64,
    repeat: usize,
    out: &Out,
) -> Result<[Measured; 2]> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let mut refused = None;
    for _ in 0..repeat {
        stop_when_cancelled(out)?;
        for path in stored.files() {
            if let Err(error) = forget_pages(&path) {
                refused = Some(error.to_string());
            }
        }
        cold.push(restore(engine, settings, stored)?);
        // The cold run has just brought the files into the system's cache.
        warm.push(restore(engine, settings, stored)?);
    }
    let mut cold_result = result("cold", n_tokens, &cold);
    if let Some(reason) = refused {
        cold_result = cold_result.with("cache_not_dropped", reason);
    }
    Ok([cold_result, result("warm", n_tokens, &warm)])
}

fn restore(engine: &Engine, settings: &Settings, stored: &StoredContext) -> Result<Restoring> {
    let id = made_up_ids(engine, 1);
    let before = storage_bytes_read();
    let start = Instant::now();
    let mut restored = stored.compose(engine, settings)?;
    let read_s = start.elapsed().as_secs_f64();
    let step = Step { sequence: &mut restored.sequence, ids: &id, logits: 0..1, mass: None };
    engine.step(&mut [step])?;
    let seconds = start.elapsed().as_secs_f64();
    let storage_bytes = before.zip(storage_bytes_read()).map(|(before, after)| after.saturating_sub(before));
    Ok(Restoring { read_s, seconds, bytes: restored.bytes_read, storage_bytes })
}

fn result(name: &str, n_tokens: u64, runs: &[Restoring]) -> Measured {
    let read_s = median(&runs.iter().map(|run| run.read_s).collect::<Vec<_>>());
    let bytes = runs.first().map_or(0, |run| run.bytes);
    let delivered: Option<Vec<u64>> = runs.iter().map(|run| run.storage_bytes).collect();
    Measured::new(name, n_tokens, runs.iter().map(|run| run.seconds).collect())
        .with("read_seconds", read_s)
        .with("bytes", bytes)
        .with("bytes_per_s", rate(bytes, read_s))
        .with("storage_bytes", delivered.map_or(Value::Null, Value::from))
}
