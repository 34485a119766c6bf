//! `ibid remove`: takes a document or a corpus away and says how many bytes that freed.

use crate::{
    cli::Remove,
    event::Out,
    owner::{Exit, Owner},
    rest,
};
use anyhow::Result;
use catalog::LOCAL_OWNER;

pub async fn run(owner: &Owner, args: &Remove, out: &Out) -> Result<Exit> {
    let corpus = owner.catalog().corpus(LOCAL_OWNER, &args.corpus).await?;
    let (kind, id, name, freed) = match &args.document {
        Some(key) => {
            let document = owner.catalog().document(&corpus.id, key).await?;
            let freed = owner.stores.remove_document(&document).await?;
            ("document.deleted", document.id, document.path, freed)
        }
        None => {
            let freed = owner.stores.remove_corpus(&corpus.id).await?;
            ("corpus.deleted", corpus.id, corpus.name, freed)
        }
    };
    out.line(format_args!(
        "removed {}: {} freed in {} files",
        rest::label(&name),
        rest::bytes(freed.bytes),
        freed.files.len()
    ));
    out.object(rest::freed(kind, id.as_str(), &freed));
    Ok(Exit::Done)
}
