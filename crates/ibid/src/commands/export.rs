//! `ibid export`: a corpus into one file.

use crate::{
    cli::Export,
    commands::progress::tell,
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    rest,
};
use anyhow::Result;
use catalog::LOCAL_OWNER;
use serde_json::json;
use std::path::Path;

pub async fn run(owner: &Owner, args: &Export, out: &Out) -> Result<Exit> {
    let corpus = owner.catalog().corpus(LOCAL_OWNER, &args.corpus).await?;
    check_place(&args.file, &corpus.name)?;
    let report =
        owner.stores.export(&corpus, &args.file, args.force, &|progress| tell(progress, out)).await?;
    out.line(format_args!(
        "{} version {}: {} documents and {} KV segments in {} ({})",
        corpus.name,
        report.corpus_version,
        report.documents,
        report.segments,
        args.file.display(),
        rest::bytes(report.bytes)
    ));
    if report.segments_left_out > 0 {
        out.line(format_args!(
            "  {} segments are missing or damaged and were left out; to repair them first, repeat: ibid add {}",
            report.segments_left_out, corpus.name
        ));
    }
    out.object(json!({
        "object": "export", "corpus_id": corpus.id.as_str(), "corpus": corpus.name,
        "corpus_version": report.corpus_version, "path": args.file, "bytes": report.bytes,
        "documents": report.documents, "segments": report.segments,
        "segments_left_out": report.segments_left_out,
    }));
    Ok(Exit::Done)
}

/// Errors: a folder in the archive's place, or none to put it in.
fn check_place(file: &Path, corpus: &str) -> Result<(), Failure> {
    if file.is_dir() {
        let inside = file.join(format!("{corpus}.ibid"));
        let detail = format!("{} is a folder; name a file in it: {}", file.display(), inside.display());
        return Err(Failure::new(409, "is_a_folder", detail));
    }
    match file.parent() {
        Some(folder) if !folder.is_dir() => {
            let detail = format!(
                "cannot write {}: there is no folder {folder:?}; choose another place, or first: mkdir -p {folder:?}",
                file.display()
            );
            Err(Failure::new(404, "not_found", detail))
        }
        _ => Ok(()),
    }
}
