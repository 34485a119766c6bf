//! `ibid bench ingest`: real text into a new corpus, stage by stage.

use super::{
    measured::{Measured, median, report},
    own_process::{cpu_seconds, peak_resident_bytes, reset_peak},
    sample_text::{Maker, SampleText},
    scratch::{Scratch, assemble, cache_bytes, new_catalog},
    stop_when_cancelled,
    timed_disk::TimedDisk,
};
use crate::{
    cli::BenchIngest, commands::progress::tell, data_folder::DataFolder, event::Out, owner::open_engine,
    problem::Failure, settings::Settings,
};
use anyhow::{Context, Result};
use catalog::{Corpus, LOCAL_OWNER, State};
use corpus::{Limits, worker::Worker};
use ingest::{AddOptions, Ingest, Stage};
use scout::Engine;
use serde_json::{Map, json};
use std::{
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
    time::Instant,
};

/// Wall seconds of one ingest.
#[derive(Debug, Default)]
struct Stages {
    /// Extraction alone, a child process for each document.
    extract: f64,
    /// Tokenisation alone.
    tokenise: f64,
    /// Both as the pipeline does them: at the same time, with passages, parts and what is stored of them.
    read: f64,
    prefill: f64,
    /// Writing and syncing KV segments, most of it beside the prefill of the next ones.
    write: f64,
    publish: f64,
    /// From the first file hashed to the published version.
    all: f64,
    /// Cores at work on average, those of the parsing child not counted.
    busy_cores: f64,
    kv_bytes: u64,
    peak_bytes: Option<u64>,
}

pub async fn run(data: &DataFolder, settings: &Settings, args: &BenchIngest, out: &Out) -> Result<()> {
    let engine = open_engine(data, settings, out).await?;
    let worker = Worker::of_this_program().context("cannot find this program")?;
    let limits = Limits::default();
    let scratch = Scratch::new(data)?;
    let files = scratch.make("files")?;
    let maker = Maker { tokenizer: engine.tokenizer(), worker: &worker, limits: &limits, out };
    let text = tokio::task::block_in_place(|| maker.make(&args.from, args.tokens, &files))?;
    let mut runs = Vec::new();
    for number in 0..args.repeat.max(1) {
        stop_when_cancelled(out)?;
        let folder = scratch.make(&format!("data-{number}"))?;
        let mut stages = ingest_once(&engine, settings, &files, &folder, &text, out).await?;
        (stages.extract, stages.tokenise) =
            tokio::task::block_in_place(|| read_alone(&engine, &worker, &limits, &text, out))?;
        runs.push(stages);
    }
    report("ingest", &engine, &results(&text, &runs), totals(settings, &text, &runs), out);
    Ok(())
}

async fn ingest_once(
    engine: &Arc<Engine>,
    settings: &Settings,
    files: &Path,
    folder: &Path,
    text: &SampleText,
    out: &Out,
) -> Result<Stages> {
    let catalog = new_catalog(folder).await?;
    let disk = TimedDisk::default();
    let ingest = assemble(&catalog, engine.clone(), folder, Arc::new(disk.clone()), settings)?;
    let corpus = catalog.create_corpus(LOCAL_OWNER, "measured").await?;
    let began: Mutex<Vec<(Stage, Instant)>> = Mutex::default();
    let progress = |progress: ingest::Progress| {
        let mut began = began.lock().unwrap_or_else(PoisonError::into_inner);
        if began.last().is_none_or(|(stage, _)| *stage != progress.stage) {
            began.push((progress.stage, Instant::now()));
        }
        tell(progress, out)
    };
    reset_peak();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    ingest.add(&corpus, &[files.to_owned()], AddOptions::default(), &progress).await?;
    let (end, cpu) = (Instant::now(), cpu_seconds() - cpu);
    let peak_bytes = peak_resident_bytes();
    check_nothing_shared(&ingest, &corpus, text).await?;
    catalog.close().await;

    let began = began.into_inner().unwrap_or_else(PoisonError::into_inner);
    let wall = |stage: Stage| {
        let at = began.iter().position(|(begun, _)| *begun == stage)?;
        let next = began.get(at + 1).map_or(end, |(_, next)| *next);
        Some((next - began[at].1).as_secs_f64())
    };
    let all = (end - start).as_secs_f64();
    Ok(Stages {
        read: wall(Stage::Extract).unwrap_or_default(),
        prefill: wall(Stage::Prefill).unwrap_or_default(),
        write: disk.write_seconds(),
        publish: wall(Stage::Publish).unwrap_or_default(),
        all,
        busy_cores: cpu / all,
        kv_bytes: disk.bytes_written(),
        peak_bytes,
        ..Stages::default()
    })
}

/// Every document was read and every part computed; otherwise the speeds would be too good.
async fn check_nothing_shared(ingest: &Ingest, corpus: &Corpus, text: &SampleText) -> Result<()> {
    let catalog = &ingest.stores.catalog;
    let version = catalog.corpus(LOCAL_OWNER, corpus.id.as_str()).await?.version;
    let documents = catalog.documents(&corpus.id, version).await?;
    let ready = documents.iter().filter(|document| document.version.state == State::Ready).count();
    let mut parts = 0;
    for document in &documents {
        parts += catalog.parts(document.version.id).await?.len();
    }
    let segments = ingest.stores.kv.list()?.len();
    if (ready, segments) == (text.files.len(), parts) {
        return Ok(());
    }
    let detail = format!(
        "{ready} of {} documents were read and {segments} of {parts} parts computed, so the speeds would be wrong; \
         measure with another folder (--from)",
        text.files.len()
    );
    Err(Failure::new(409, "not_comparable", detail).into())
}

/// Seconds of extraction and of tokenisation, one document after another.
fn read_alone(
    engine: &Engine,
    worker: &Worker,
    limits: &Limits,
    text: &SampleText,
    out: &Out,
) -> Result<(f64, f64)> {
    let (mut extract_s, mut tokenise_s) = (0.0, 0.0);
    for path in &text.files {
        stop_when_cancelled(out)?;
        let start = Instant::now();
        let extracted = corpus::extract::extract(path, limits, worker)?;
        let read = Instant::now();
        engine.tokenizer().encode_document(&extracted.text)?;
        extract_s += (read - start).as_secs_f64();
        tokenise_s += read.elapsed().as_secs_f64();
    }
    Ok((extract_s, tokenise_s))
}

fn results(text: &SampleText, runs: &[Stages]) -> Vec<Measured> {
    type Stage = (&'static str, fn(&Stages) -> f64);
    let stages: [Stage; 7] = [
        ("extract", |s| s.extract),
        ("tokenise", |s| s.tokenise),
        ("extract and tokenise, piped", |s| s.read),
        ("prefill", |s| s.prefill),
        ("write", |s| s.write),
        ("publish", |s| s.publish),
        ("all", |s| s.all),
    ];
    let column = |of: fn(&Stages) -> f64| runs.iter().map(of).collect();
    stages.iter().map(|(name, of)| Measured::new(*name, text.tokens, column(*of))).collect()
}

fn totals(settings: &Settings, text: &SampleText, runs: &[Stages]) -> Map<String, serde_json::Value> {
    let over_prefill = |of: fn(&Stages) -> f64| {
        median(&runs.iter().map(|stages| stages.prefill / of(stages).max(1e-9)).collect::<Vec<_>>())
    };
    let busy_cores = median(&runs.iter().map(|stages| stages.busy_cores).collect::<Vec<_>>());
    let peak = runs.iter().map(|stages| stages.peak_bytes).max().flatten();
    Map::from_iter(
        [
            ("documents", json!(text.files.len())),
            ("tokens", json!(text.tokens)),
            ("bytes", json!(text.bytes)),
            ("formats", json!(text.formats)),
            ("kv_bytes_written", json!(runs.first().map(|stages| stages.kv_bytes))),
            ("extract_and_tokenise_over_prefill", json!(over_prefill(|s| s.extract + s.tokenise))),
            ("piped_over_prefill", json!(over_prefill(|s| s.read))),
            ("busy_cores", json!(busy_cores)),
            ("cores", json!(available_parallelism().map_or(1, NonZero::get))),
            ("peak_resident_bytes", json!(peak)),
            ("kv_cache_bytes", json!(cache_bytes(settings))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}
