//! Stored tokens composed from disk against this engine's own prefill of the same tokens.

use crate::{
    cli::BenchTtft,
    commands::bench::{
        check_window, made_up_ids,
        measured::{Measured, median, report},
        scratch::{Scratch, timed_engine},
        stop_when_cancelled,
        stored_context::StoredContext,
    },
    data_folder::DataFolder,
    event::Out,
    owner::open_engine,
    problem::Failure,
    settings::Settings,
};
use anyhow::{Context, Result};
use scout::{Engine, Sequence, Step};
use serde_json::{Map, Value, json};
use std::{path::Path, time::Instant};

/// Tokens of the question behind the context, those that close the user's turn among them.
const QUESTION: usize = 32;
/// Tokens that run through all layers together, as in an ingest.
const TILE: usize = 512;

struct Composed {
    open_s: f64,
    seconds: f64,
    bytes_read: u64,
    /// Tokens that the question saw behind the header.
    tokens: u64,
}

/// For each length: stored once, then composed by newly opened engines and prefilled by turns.
pub async fn compose_contexts(
    data: &DataFolder,
    settings: &Settings,
    args: &BenchTtft,
    out: &Out,
) -> Result<()> {
    let engine = open_engine(data, settings, out).await?;
    for &n in &args.context {
        check_window(&engine, n, QUESTION)?;
    }
    let given = args.ids.as_deref().map(read_ids).transpose()?;
    let mut results = Vec::new();
    let mut ratios = Vec::new();
    for &n in &args.context {
        let ids = context_ids(&engine, given.as_deref(), n)?;
        let scratch = Scratch::new(data)?;
        let stored =
            tokio::task::block_in_place(|| StoredContext::write(&engine, &ids, scratch.path(), out))?;
        let (mut composed, mut prefilled) = (Vec::new(), Vec::new());
        for _ in 0..args.repeat.max(1) {
            stop_when_cancelled(out)?;
            composed.push(compose_anew(data, settings, &stored, out).await?);
            prefilled.push(tokio::task::block_in_place(|| prefill(&engine, &ids, out))?);
        }
        let pair = pair(n as u64, &composed, prefilled);
        ratios.push(json!({"context": n, "prefilled_over_composed": pair[1].median() / pair[0].median()}));
        results.extend(pair);
    }
    let totals = Map::from_iter([("ratios".to_owned(), Value::Array(ratios))]);
    report("ttft", &engine, &results, totals, out);
    Ok(())
}

fn pair(n: u64, composed: &[Composed], prefilled: Vec<f64>) -> [Measured; 2] {
    let open_s: Vec<f64> = composed.iter().map(|run| run.open_s).collect();
    let composed_result = Measured::new("composed", n, composed.iter().map(|run| run.seconds).collect())
        .with("open_seconds", median(&open_s))
        .with("question_tokens", QUESTION)
        .with("prefilled_tokens", composed.iter().map(|run| n - run.tokens).max().unwrap_or(n))
        .with("kv_bytes_read", composed.first().map_or(0, |run| run.bytes_read));
    let prefilled_result = Measured::new("prefilled", n, prefilled)
        .with("question_tokens", QUESTION)
        .with("prefilled_tokens", n);
    [composed_result, prefilled_result]
}

/// From files that the system has in its cache to the first token, by an engine that has seen nothing before.
async fn compose_anew(
    data: &DataFolder,
    settings: &Settings,
    stored: &StoredContext,
    out: &Out,
) -> Result<Composed> {
    let (engine, open_s) = timed_engine(data, settings, out).await?;
    tokio::task::block_in_place(|| {
        let question = question(&engine);
        let start = Instant::now();
        let mut restored = stored.compose(&engine, settings)?;
        let tokens = restored.sequence.next_pos() - engine.header().ids.len() as u64;
        first_token(&engine, &mut restored.sequence, &question)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Composed { open_s, seconds, bytes_read: restored.bytes_read, tokens })
    })
}

/// The same tokens behind the header in one go, then the question.
fn prefill(engine: &Engine, ids: &[u32], out: &Out) -> Result<f64> {
    let question = question(engine);
    let start = Instant::now();
    let mut sequence = engine.sequence()?;
    for tile in ids.chunks(TILE) {
        engine.step(&mut [Step { sequence: &mut sequence, ids: tile, logits: 0..0, mass: None }])?;
        stop_when_cancelled(out)?;
    }
    first_token(engine, &mut sequence, &question)?;
    Ok(start.elapsed().as_secs_f64())
}

fn first_token(engine: &Engine, sequence: &mut Sequence, question: &[u32]) -> Result<u32> {
    let step = Step { sequence, ids: question, logits: question.len() - 1..question.len(), mass: None };
    Ok(scout::greedy(engine.step(&mut [step])?.logits.row(0)))
}

fn question(engine: &Engine) -> Vec<u32> {
    let closing = &engine.header().suffix_ids;
    let mut ids = made_up_ids(engine, QUESTION.saturating_sub(closing.len()));
    ids.extend(closing.iter().take(QUESTION));
    ids
}

fn context_ids(engine: &Engine, given: Option<&[u32]>, n: usize) -> Result<Vec<u32>> {
    let Some(given) = given else { return Ok(made_up_ids(engine, n)) };
    let vocab = engine.tokenizer().vocab_size();
    if let Some(id) = given.iter().find(|id| u64::from(**id) >= vocab) {
        let detail = format!("token id {id} is none of this model, which has {vocab}");
        return Err(Failure::new(400, "bad_ids", detail).into());
    }
    let ids = given.get(..n).ok_or_else(|| {
        Failure::new(400, "bad_ids", format!("{} token ids are too few for a context of {n}", given.len()))
    })?;
    Ok(ids.to_vec())
}

fn read_ids(path: &Path) -> Result<Vec<u32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no JSON array of token ids", path.display()))
}
