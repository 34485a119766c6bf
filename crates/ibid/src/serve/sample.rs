//! `POST /v1/corpora/sample`: the sample corpus, one click away. Asking twice adds nothing twice.

use super::{
    caller::Caller,
    documents::{Arrived, Upload, take_in},
    embedded::sample_files,
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use axum::extract::State;
use catalog::{Corpus, Scope};
use ingest::Received;
use serde_json::json;
use std::sync::Arc;

const NAME: &str = "sample";

/// Add the sample corpus that is built into the program
#[utoipa::path(post, path = "/v1/corpora/sample", tag = "corpora", operation_id = "add_sample_corpus",
    responses((status = 202, body = Upload), (status = 200, body = Upload),
        (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn sample(State(service): State<Arc<Service>>, caller: Caller) -> Result<Upload, Refusal> {
    caller.allow(Scope::Write)?;
    if caller.corpora.is_some() {
        return Err(Refusal::new(403, "forbidden", "this key is restricted to corpora that exist"));
    }
    let corpus = corpus_of(&service, &caller.owner).await?;
    let library = service.ingest.stores.library.clone();
    let received = tokio::task::spawn_blocking(move || -> ingest::Result<Vec<(&'static str, Received)>> {
        let receive = |(name, bytes)| {
            let mut incoming = library.incoming()?;
            incoming.write(bytes)?;
            Ok((name, incoming.finish()))
        };
        sample_files().into_iter().map(receive).collect()
    });
    let arrived = received.await??.into_iter().map(|(name, received)| Arrived {
        path: name.to_owned(),
        bytes: received.file.bytes,
        outcome: Ok(received),
    });
    take_in(service.clone(), caller, corpus, arrived.collect()).await
}

/// The owner's corpus of this name, made if there is none. One the owner has named so is used as it is.
async fn corpus_of(service: &Service, owner: &str) -> Result<Corpus, Refusal> {
    let catalog = service.catalog();
    match catalog.create_corpus(owner, NAME).await {
        Ok(corpus) => {
            catalog.set_metadata(&corpus.id, &json!({ "sample": true })).await?;
            Ok(corpus)
        }
        Err(catalog::Error::NameTaken { .. }) => Ok(catalog.corpus(owner, NAME).await?),
        Err(error) => Err(error.into()),
    }
}
