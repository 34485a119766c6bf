//! `ibid add`: files and folders into a corpus.

use crate::{
    cli::Add,
    event::{Event, Out, Progress},
    owner::{Exit, Owner},
    problem::Failure,
    settings::Settings,
};
use anyhow::Result;
use catalog::{Corpus, LOCAL_OWNER, State};
use ingest::{AddOptions, AddReport, Ingest};
use serde_json::json;
use std::ops::ControlFlow;

pub async fn run(owner: &Owner, settings: &Settings, args: &Add, out: &Out) -> Result<Exit> {
    // Before the model is loaded and a corpus is made: a wrong path leaves nothing behind.
    for path in &args.paths {
        if !path.exists() {
            let detail = format!("{} does not exist; check the path", path.display());
            return Err(Failure::new(404, "not_found", detail).into());
        }
    }
    let ingest = owner.ingest(settings, out).await?;
    let corpus = find_or_make(owner, &args.corpus).await?;
    let options = AddOptions { prune: args.prune, retry_refused: args.retry };
    let mut report = ingest.add(&corpus, &args.paths, options, &|progress| tell(progress, out)).await?;
    report.tokens_prefilled += repair(&ingest, &corpus, out).await?;
    summarise(&corpus, &report, out);
    Ok(Exit::Done)
}

/// Segments that `verify` set aside, computed again from the stored texts; gives their tokens.
async fn repair(ingest: &Ingest, corpus: &Corpus, out: &Out) -> Result<u64> {
    let catalog = &ingest.stores.catalog;
    let version = catalog.corpus(LOCAL_OWNER, corpus.id.as_str()).await?.version;
    let mut tokens = 0;
    for document in catalog.documents(&corpus.id, version).await? {
        let lost = catalog.parts(document.version.id).await?.into_iter().filter(|part| !part.ready);
        for part in lost.filter(|_| document.version.state == State::Ready) {
            if out.cancel.requested() {
                return Err(Failure::cancelled().into());
            }
            out.note(format!("reading {} tokens of {} again", part.tokens.len(), document.path));
            ingest.rebuild_segment(document.version.id, part.idx).await?;
            tokens += part.tokens.len();
        }
    }
    Ok(tokens)
}

async fn find_or_make(owner: &Owner, name: &str) -> Result<Corpus> {
    match owner.catalog().corpus(LOCAL_OWNER, name).await {
        Err(catalog::Error::NotFound { .. }) => Ok(owner.catalog().create_corpus(LOCAL_OWNER, name).await?),
        found => Ok(found?),
    }
}

pub fn tell(progress: ingest::Progress, out: &Out) -> ControlFlow<()> {
    out.send(Event::Progress(Progress {
        stage: progress.stage.as_str().into(),
        unit: progress.unit().into(),
        done: progress.done,
        total: progress.total,
        rate: progress.rate,
        eta_s: progress.eta.map(|eta| eta.as_secs()),
    }));
    if out.cancel.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn summarise(corpus: &Corpus, report: &AddReport, out: &Out) {
    out.line(format_args!(
        "{}: {} added, {} changed, {} removed, {} unchanged; {} tokens prefilled; version {}",
        corpus.name,
        report.added,
        report.changed,
        report.removed,
        report.unchanged,
        report.tokens_prefilled,
        report.corpus_version
    ));
    for refused in &report.refused {
        let reason = refused.error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
        out.line(format_args!(
            "  {} is not readable [{}] {reason}",
            crate::rest::label(&refused.path),
            refused.state
        ));
    }
    for skipped in &report.skipped {
        out.line(format_args!("  {} was skipped: {}", crate::rest::label(&skipped.path), skipped.reason));
    }
    if !report.missing.is_empty() {
        out.line(format_args!(
            "  {} documents were not found any more and are kept; --prune removes them",
            report.missing.len()
        ));
    }
    let refused = |r: &ingest::Refused| json!({ "path": r.path, "state": r.state, "error": r.error });
    let skipped = |s: &ingest::Skipped| json!({ "path": s.path, "reason": s.reason });
    out.object(json!({
        "object": "ingest", "corpus_id": corpus.id.as_str(), "corpus": corpus.name,
        "job_id": report.job.as_ref().map(base::Id::as_str), "corpus_version": report.corpus_version,
        "added": report.added, "changed": report.changed, "removed": report.removed,
        "unchanged": report.unchanged, "missing": report.missing,
        "refused": report.refused.iter().map(refused).collect::<Vec<_>>(),
        "skipped": report.skipped.iter().map(skipped).collect::<Vec<_>>(),
        "tokens_prefilled": report.tokens_prefilled, "freed_bytes": report.bytes_freed,
    }));
}
