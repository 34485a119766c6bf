//! `ibid import`: a file that export wrote becomes a corpus.

use crate::{
    cli::Import,
    commands::{add, progress::tell},
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    settings::Settings,
};
use anyhow::Result;
use ingest::{ImportOptions, ImportReport};
use serde_json::json;

pub async fn run(owner: &Owner, settings: &Settings, args: &Import, out: &Out) -> Result<Exit> {
    // Before the model is loaded: a wrong path or name should be told at once.
    if !args.file.exists() {
        let detail = format!("{} does not exist; check the path", args.file.display());
        return Err(Failure::new(404, "not_found", detail).into());
    }
    args.name.as_deref().map(base::corpus_name).transpose()?;
    let ingest = owner.ingest(settings, out).await?;
    let options = ImportOptions { name: args.name.clone(), without_kv: args.no_kv };
    let report = ingest.import(&args.file, &options, &|progress| tell(progress, out)).await?;
    show(&report, out);
    Ok(Exit::Done)
}

fn show(report: &ImportReport, out: &Out) {
    let (corpus, added) = (&report.corpus, &report.added);
    out.line(format_args!(
        "{}: {} documents, {} KV segments taken, {} tokens prefilled; version {}",
        corpus.name, added.added, report.segments_taken, added.tokens_prefilled, corpus.version
    ));
    if let Some(other) = &report.other_model {
        out.line(format_args!(
            "  its KV belongs to {other}, not to the open model: the texts were read again"
        ));
    }
    if report.segments_refused > 0 {
        out.line(format_args!(
            "  {} of its KV segments are damaged or of other numerics: their texts were read again",
            report.segments_refused
        ));
    }
    add::show_refused(&added.refused, out);
    out.object(json!({
        "object": "import", "corpus_id": corpus.id.as_str(), "corpus": corpus.name,
        "job_id": added.job.as_ref().map(base::Id::as_str), "corpus_version": corpus.version,
        "documents": added.added, "refused": added.refused.iter().map(add::refused).collect::<Vec<_>>(),
        "segments_taken": report.segments_taken, "segments_refused": report.segments_refused,
        "other_model": report.other_model, "tokens_prefilled": added.tokens_prefilled,
    }));
}
