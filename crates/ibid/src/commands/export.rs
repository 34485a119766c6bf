//! `ibid export`: a corpus into one file.

use crate::{
    cli::Export,
    commands::progress::tell,
    event::Out,
    owner::{Exit, Owner},
    rest,
};
use anyhow::Result;
use catalog::LOCAL_OWNER;
use serde_json::json;

pub async fn run(owner: &Owner, args: &Export, out: &Out) -> Result<Exit> {
    let corpus = owner.catalog().corpus(LOCAL_OWNER, &args.corpus).await?;
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
