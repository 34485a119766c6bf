//! `/v1/corpora`: create, list, show, delete.

use super::{
    caller::Caller,
    extract::{Body, Path, Query},
    listing::{Order, PageQuery, sifted},
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::rest::{self, List};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use catalog::{Corpus, Page, Scope};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCorpus {
    /// Unique among the caller's corpora: one line, not blank, not beginning with `corp_` like an id.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^(?!\s*corp_)[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub name: String,
}

/// A corpus with its counts, sizes and the ingest under way.
pub async fn object(service: &Service, corpus: &Corpus) -> Result<rest::Corpus, Refusal> {
    let catalog = service.catalog();
    let counts = catalog.corpus_counts(&corpus.id).await?;
    let storage = catalog.corpus_storage(&corpus.id).await?;
    let job = catalog.newest_ingest(&corpus.id).await?;
    Ok(rest::corpus(corpus, &counts, &storage, job.as_ref()))
}

/// Create a corpus
#[utoipa::path(post, path = "/v1/corpora", tag = "corpora", operation_id = "create_corpus", request_body = NewCorpus,
    responses((status = 201, body = rest::Corpus), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn create(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Body(new): Body<NewCorpus>,
) -> Result<impl IntoResponse, Refusal> {
    caller.allow(Scope::Write)?;
    if caller.corpora.is_some() {
        return Err(Refusal::new(403, "forbidden", "this key is restricted to corpora that exist"));
    }
    let corpus = service.catalog().create_corpus(&caller.owner, base::corpus_name(&new.name)?).await?;
    let location = format!("/v1/corpora/{}", corpus.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(object(&service, &corpus).await?)))
}

/// List corpora, newest first
#[utoipa::path(get, path = "/v1/corpora", tag = "corpora", operation_id = "list_corpora", params(PageQuery),
    responses((status = 200, body = List<rest::Corpus>), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<rest::Corpus>>, Refusal> {
    caller.allow(Scope::Read)?;
    let page = query.page(Order::Desc)?;
    for cursor in page.after.iter().chain(&page.before) {
        caller.corpus(&service, cursor).await?;
    }
    let rows = |page: Page| {
        let (catalog, owner) = (service.catalog().clone(), caller.owner.clone());
        async move { catalog.list_corpora(&owner, &page).await }
    };
    let listed = if caller.corpora.is_none() {
        rows(page).await?
    } else {
        sifted::<Corpus, _>(page, rows, |corpus| &corpus.id, |corpus| caller.sees(&corpus.id)).await?
    };
    let mut objects = Vec::new();
    for corpus in &listed.items {
        objects.push(object(&service, corpus).await?);
    }
    Ok(Json(List::new(objects, listed.has_more, |corpus| &corpus.id)))
}

/// Show a corpus
#[utoipa::path(get, path = "/v1/corpora/{corpus_id}", tag = "corpora", operation_id = "show_corpus", params(("corpus_id" = String, Path)),
    responses((status = 200, body = rest::Corpus), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn show(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Corpus>, Refusal> {
    caller.allow(Scope::Read)?;
    let corpus = caller.corpus(&service, &id).await?;
    Ok(Json(object(&service, &corpus).await?))
}

/// Delete a corpus with its documents and answers
#[utoipa::path(delete, path = "/v1/corpora/{corpus_id}", tag = "corpora", operation_id = "delete_corpus", params(("corpus_id" = String, Path)),
    responses((status = 200, body = rest::Deleted), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn delete(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Deleted>, Refusal> {
    caller.allow(Scope::Write)?;
    let corpus = caller.corpus(&service, &id).await?;
    service.questions.cancel_corpus(&corpus.id).await;
    let freed = service.ingest.stores.remove_corpus(&corpus.id).await?;
    Ok(Json(rest::freed("corpus.deleted", corpus.id.as_str(), &freed)))
}
