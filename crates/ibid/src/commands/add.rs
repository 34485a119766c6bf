//! `ibid add`: files and folders into a corpus.

use crate::{
    cli::Add,
    commands::progress::tell,
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    rest,
    settings::Settings,
};
use anyhow::Result;
use catalog::{Corpus, LOCAL_OWNER};
use ingest::{AddOptions, AddReport, Refused, Repaired, Skipped};
use serde_json::{Value, json};

pub async fn run(owner: &Owner, settings: &Settings, args: &Add, out: &Out) -> Result<Exit> {
    // Before the model is loaded and a corpus is made: a wrong path leaves nothing behind.
    for path in &args.paths {
        if !path.exists() {
            let detail = format!("{} does not exist; check the path", path.display());
            return Err(Failure::new(404, "not_found", detail).into());
        }
    }
    let name = args.corpus.trim();
    // One that exists may be named by its id.
    if let Err(catalog::Error::NotFound { .. }) = owner.catalog().corpus(LOCAL_OWNER, name).await {
        base::corpus_name(name)?;
    }
    let _adding = owner.begin_adding(name);
    let ingest = owner.ingest(settings, out).await?;
    let (corpus, made) = find_or_make(owner, name).await?;
    answer::check_model(&ingest, &corpus)?;
    let options = AddOptions {
        name: args.name.clone(),
        replace: args.replace,
        prune: args.prune,
        retry_refused: args.retry,
    };
    let added = ingest.add(&corpus, &args.paths, options, &|progress| tell(progress, out)).await;
    let nothing = added.as_ref().map_or(true, AddReport::nothing_readable);
    let unmade = if made && nothing { unmake(owner, &corpus).await } else { Ok(false) };
    let report = added?;
    if nothing {
        return Err(nothing_readable(&corpus, &report, unmade?, out));
    }
    summarise(&corpus, &report, out);
    Ok(Exit::Done)
}

/// The corpus, and whether it is new.
async fn find_or_make(owner: &Owner, name: &str) -> Result<(Corpus, bool)> {
    match owner.catalog().corpus(LOCAL_OWNER, name).await {
        Err(catalog::Error::NotFound { .. }) => {
            Ok((owner.catalog().create_corpus(LOCAL_OWNER, name).await?, true))
        }
        found => Ok((found?, false)),
    }
}

/// Takes the corpus of a failed command away again, unless something is in it: what an interrupted one staged, or what
/// others have put there meanwhile. True when it is gone.
async fn unmake(owner: &Owner, corpus: &Corpus) -> Result<bool> {
    let unreadable = owner.catalog().corpus_counts(&corpus.id).await?.failed;
    let empty = owner.catalog().documents_with(&corpus.id, &[]).await? == unreadable;
    if empty {
        owner.stores.remove_corpus(&corpus.id).await?;
    }
    Ok(empty)
}

/// Says why each file could not be read; gives the failure.
fn nothing_readable(corpus: &Corpus, report: &AddReport, unmade: bool, out: &Out) -> anyhow::Error {
    tell_unreadable(report, out);
    out.object(object(corpus, report));
    let files = report.refused.len() + report.skipped.len();
    let kept = match unmade {
        true => format!(", so that there is no corpus {:?}", corpus.name),
        false => String::new(),
    };
    let detail = format!("none of {files} files could be read{kept}; see the reason of each");
    Failure::new(422, "nothing_readable", detail).into()
}

fn tell_unreadable(report: &AddReport, out: &Out) {
    show_refused(&report.refused, out);
    for skipped in &report.skipped {
        out.line(format_args!("  {} was skipped: {}", rest::label(&skipped.path), skipped.reason));
    }
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
    tell_unreadable(report, out);
    for path in &report.restored {
        out.line(format_args!(
            "  {} was repaired: its stored text or original was damaged",
            rest::label(path)
        ));
    }
    for Repaired { path, tokens } in &report.repaired {
        out.line(format_args!(
            "  {tokens} tokens of {} were read again: their KV was lost",
            rest::label(path)
        ));
    }
    if !report.outdated.is_empty() {
        out.line(format_args!(
            "  {} documents were read again: the model's tokenizer, chat template or numerics have changed",
            report.outdated.len()
        ));
    }
    if !report.missing.is_empty() {
        out.line(format_args!(
            "  {} documents were not found any more and are kept; --prune removes them",
            report.missing.len()
        ));
    }
    out.object(object(corpus, report));
}

fn object(corpus: &Corpus, report: &AddReport) -> Value {
    let skipped = |s: &Skipped| json!({ "path": s.path, "reason": s.reason });
    let repaired = |r: &Repaired| json!({ "path": r.path, "tokens": r.tokens });
    json!({
        "object": "ingest", "corpus_id": corpus.id.as_str(), "corpus": corpus.name,
        "job_id": report.job.as_ref().map(base::Id::as_str), "corpus_version": report.corpus_version,
        "added": report.added, "changed": report.changed, "removed": report.removed,
        "unchanged": report.unchanged, "missing": report.missing, "outdated": report.outdated,
        "refused": report.refused.iter().map(refused).collect::<Vec<_>>(),
        "skipped": report.skipped.iter().map(skipped).collect::<Vec<_>>(),
        "repaired": report.repaired.iter().map(repaired).collect::<Vec<_>>(),
        "restored": report.restored,
        "tokens_prefilled": report.tokens_prefilled, "freed_bytes": report.bytes_freed,
    })
}

/// A line for each document that holds nothing to ask about.
pub fn show_refused(refused: &[Refused], out: &Out) {
    for Refused { path, state, error } in refused {
        let reason = error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
        out.line(format_args!("  {} is not readable [{state}] {reason}", rest::label(path)));
    }
}

pub fn refused(refused: &Refused) -> Value {
    json!({ "path": refused.path, "state": refused.state, "error": refused.error })
}
