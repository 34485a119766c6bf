//! `ibid bench ttft`: how long until the first token of an answer that is never taken back.

mod contexts;
mod own_corpus;

pub use contexts::compose_contexts;
pub use own_corpus::ask_own_corpus;

use super::{
    measured::{Measured, median, report},
    scratch::{assemble, timed_engine},
    stop_when_cancelled,
};
use crate::{
    cli::BenchTtft,
    data_folder::DataFolder,
    event::Out,
    owner::{Owner, open_engine},
    problem::Failure,
    settings::Settings,
};
use answer::{AskEvent, AskRequest, Mode};
use anyhow::{Context, Result};
use catalog::{Catalog, Corpus, LOCAL_OWNER};
use serde_json::{Map, json};
use std::{path::Path, sync::Arc, time::Instant};

/// A corpus, where it lies, and what it is asked.
struct Asked<'a> {
    /// Whose model is used.
    data: &'a DataFolder,
    catalog: &'a Catalog,
    /// Folder of the stores.
    stores: &'a Path,
    corpus: &'a Corpus,
    question: &'a str,
}

/// One question, from a newly opened engine and an empty page cache.
struct Answered {
    open_s: f64,
    /// From the question to the first text, or to the end where the answer has none.
    seconds: f64,
    answer: answer::Answer,
}

/// Asks a corpus of the data folder.
pub async fn ask_corpus(owner: &Owner, settings: &Settings, args: &BenchTtft, out: &Out) -> Result<()> {
    let name = args.corpus.as_deref().unwrap_or_default();
    let corpus = owner.catalog().corpus(LOCAL_OWNER, name).await?;
    let asked = Asked {
        data: &owner.data,
        catalog: owner.catalog(),
        stores: owner.data.path(),
        corpus: &corpus,
        question: args.question.as_deref().unwrap_or_default(),
    };
    ask_both_modes(&asked, settings, args.repeat, out).await
}

/// Quoting and free; for each a first question that is not counted warms the disk and rebuilds what is damaged.
async fn ask_both_modes(asked: &Asked<'_>, settings: &Settings, repeat: usize, out: &Out) -> Result<()> {
    let mut results = Vec::new();
    for mode in [Mode::Quote, Mode::Free] {
        ask_anew(asked, settings, mode, out).await?;
        let mut answers = Vec::new();
        for _ in 0..repeat.max(1) {
            stop_when_cancelled(out)?;
            answers.push(ask_anew(asked, settings, mode, out).await?);
        }
        results.push(result(mode, &answers)?);
    }
    let engine = open_engine(asked.data, settings, out).await?;
    let totals = Map::from_iter([
        ("corpus".to_owned(), json!(asked.corpus.name)),
        ("question".to_owned(), json!(asked.question)),
    ]);
    report("ttft", &engine, &results, totals, out);
    Ok(())
}

async fn ask_anew(asked: &Asked<'_>, settings: &Settings, mode: Mode, out: &Out) -> Result<Answered> {
    let opening = Instant::now();
    let (engine, _) = timed_engine(asked.data, settings, out).await?;
    let ingest = assemble(asked.catalog, engine, asked.stores, Arc::new(kv::Disk), settings)?;
    let open_s = opening.elapsed().as_secs_f64();
    let request = AskRequest::new(asked.question, mode);
    let (start, mut first) = (Instant::now(), None);
    let mut listen = |event: AskEvent| match event {
        AskEvent::Text(_) => {
            first.get_or_insert(start.elapsed());
        }
        AskEvent::Started { .. } | AskEvent::Composing { .. } | AskEvent::Loading { .. } => {}
        AskEvent::Rebuilding { document, tokens, reason } => {
            out.note(format!("reading {tokens} tokens of {document} again: {reason}"));
        }
    };
    let answer = answer::ask(&ingest, asked.corpus, &request, &scout::Cancel::default(), &mut listen).await?;
    let ended = start.elapsed();
    Ok(Answered { open_s, seconds: first.unwrap_or(ended).as_secs_f64(), answer })
}

/// Errors: when document tokens were computed, for then something else was measured.
fn result(mode: Mode, answers: &[Answered]) -> Result<Measured> {
    let prefilled = answers.iter().map(|a| a.answer.usage.prefilled_corpus_tokens).max().unwrap_or(0);
    if prefilled > 0 {
        let detail = format!(
            "{prefilled} document tokens were computed for one answer, so this was no restored context; run: ibid \
             verify, then repeat"
        );
        return Err(Failure::new(409, "prefilled", detail).into());
    }
    let last = answers.last().context("no question was asked")?;
    let usage = &last.answer.usage;
    let seconds = answers.iter().map(|a| a.seconds).collect();
    let open_s: Vec<f64> = answers.iter().map(|a| a.open_s).collect();
    Ok(Measured::new(mode.as_str(), usage.reused_corpus_tokens, seconds)
        .with("open_seconds", median(&open_s))
        .with("corpus_tokens", usage.corpus_tokens)
        .with("composed_tokens", usage.reused_corpus_tokens)
        .with("prefilled_tokens", prefilled)
        .with("question_tokens", usage.question_tokens)
        .with("output_tokens", usage.output_tokens)
        .with("kv_bytes_read", usage.kv_bytes_read)
        .with("grounding", json!(last.answer.grounding)))
}
