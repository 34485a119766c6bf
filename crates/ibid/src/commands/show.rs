//! `ibid show`: a corpus with its documents, or one document.

use crate::{
    cli::Show,
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    rest,
};
use anyhow::Result;
use catalog::{Corpus, Document, LOCAL_OWNER};
use serde::Serialize;

pub async fn run(owner: &Owner, args: &Show, out: &Out) -> Result<Exit> {
    let corpus = owner.catalog().corpus(LOCAL_OWNER, &args.corpus).await?;
    match &args.document {
        None => show_corpus(owner, &corpus, out).await,
        Some(key) => {
            let document = owner.catalog().document(&corpus.id, key).await?;
            if args.text {
                show_text(owner, &document, out)?;
            } else {
                show_document(&document, out);
            }
            Ok(Exit::Done)
        }
    }
}

/// A corpus with all its documents.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    corpus: rest::Corpus,
    documents: Vec<rest::Document>,
}

async fn show_corpus(owner: &Owner, corpus: &Corpus, out: &Out) -> Result<Exit> {
    let counts = owner.catalog().corpus_counts(&corpus.id).await?;
    let storage = owner.catalog().corpus_storage(&corpus.id).await?;
    let documents = owner.catalog().documents(&corpus.id, corpus.version).await?;
    out.line(format_args!("{} ({}), version {}", corpus.name, corpus.id, corpus.version));
    if let Some(model) = &corpus.model {
        out.line(format_args!("model {}, {} KV", model.name, model.kv_dtype));
    }
    out.line(format_args!(
        "{} tokens; on disk: {} originals, {} texts, {} KV",
        counts.tokens,
        rest::bytes(storage.source_bytes),
        rest::bytes(storage.text_bytes),
        rest::bytes(storage.kv_bytes)
    ));
    for document in &documents {
        out.line(format_args!("  {}", summary(document)));
    }
    out.object(Shown {
        corpus: rest::corpus(corpus, &counts, &storage, None),
        documents: documents.iter().map(rest::document).collect(),
    });
    Ok(Exit::Done)
}

fn summary(document: &Document) -> String {
    let version = &document.version;
    let mut text = format!("{} [{}]", crate::rest::label(&document.path), version.state);
    if version.pages > 0 {
        text.push_str(&format!(" {} pages,", version.pages));
    }
    text.push_str(&format!(" {} tokens", version.tokens));
    if let Some(reason) = version.error.as_ref().and_then(|error| error["message"].as_str()) {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// The canonical text alone, so that offsets can be counted in it.
fn show_text(owner: &Owner, document: &Document, out: &Out) -> Result<()> {
    let Some(stored) = &document.version.stored else {
        let detail =
            format!("{} has no text: it is {}", crate::rest::label(&document.path), document.version.state);
        return Err(Failure::new(409, "no_text", detail).into());
    };
    let text = owner.stores.library.document_text(stored)?.text;
    out.object(rest::Document { text: Some(text.clone()), ..rest::document(document) });
    out.text(text);
    Ok(())
}

fn show_document(document: &Document, out: &Out) {
    let version = &document.version;
    out.line(summary(document));
    out.line(format_args!("id {}, version {}, {}", document.id, version.number, version.media_type));
    out.line(format_args!("title {:?}, {} characters", version.title, version.characters));
    if let Some(place) = &version.place {
        out.line(format_args!("from {}", rest::label(place)));
    }
    for warning in version.warnings.as_array().into_iter().flatten() {
        out.line(format_args!("warning: {}", rest::warning(warning)));
    }
    out.object(rest::document(document));
}
