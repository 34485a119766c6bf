//! `ibid list`: the corpora of the data folder.

use crate::{
    event::Out,
    owner::{Exit, Owner},
    rest,
};
use anyhow::Result;
use catalog::LOCAL_OWNER;

pub async fn run(owner: &Owner, out: &Out) -> Result<Exit> {
    let mut objects = Vec::new();
    let corpora = owner.catalog().corpora(LOCAL_OWNER).await?;
    if corpora.is_empty() {
        out.line("no corpora yet; make one with: ibid add NAME FOLDER");
    }
    for corpus in corpora {
        let counts = owner.catalog().corpus_counts(&corpus.id).await?;
        let storage = owner.catalog().corpus_storage(&corpus.id).await?;
        out.line(format_args!(
            "{}: {} documents ({} not readable), {} tokens, {} of KV, version {}",
            corpus.name,
            counts.documents,
            counts.failed,
            counts.tokens,
            rest::bytes(storage.kv_bytes),
            corpus.version
        ));
        objects.push(rest::corpus(&corpus, &counts, &storage, None));
    }
    out.object(rest::List::new(objects, false, |corpus| &corpus.id));
    Ok(Exit::Done)
}
