//! `/v1/corpora/{id}/documents` and `/v1/documents/{id}`: list, show, delete; and how files that arrived become documents.

use super::{
    caller::Caller,
    extract::{Path, Query},
    listing::{self, Order, PageQuery},
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::{
    problem::Failure,
    rest::{self, List, Reason},
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use catalog::{Catalog, Corpus, Digest, Document, JobState, Scope, StoredText};
use ingest::{Accepted, Received};
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// What became of the files of one request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Upload {
    /// `upload`
    pub object: &'static str,
    pub corpus_id: String,
    /// The job that reads what was accepted; null when nothing is new.
    #[schema(required)]
    pub job_id: Option<String>,
    /// In the order of the parts.
    pub results: Vec<UploadResult>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UploadResult {
    /// The document path: the part's file name, cleaned.
    pub name: String,
    pub status: UploadStatus,
    #[schema(required)]
    pub document_id: Option<String>,
    /// Bytes that came.
    pub bytes: u64,
    /// Null for a file that was not read whole.
    #[schema(required)]
    pub sha256: Option<String>,
    /// The caller had these bytes already.
    pub deduplicated: bool,
    #[schema(required)]
    pub error: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadStatus {
    Accepted,
    /// The corpus shows the same bytes under the same path.
    Unchanged,
    Refused,
}

/// A file of an upload: whole on disk, or refused by itself.
pub struct Arrived {
    /// The document path it gets.
    pub path: String,
    /// Bytes of it that came.
    pub bytes: u64,
    pub outcome: Result<Received, Failure>,
}

impl IntoResponse for Upload {
    /// 202 while there is something to wait for.
    fn into_response(self) -> Response {
        let location = self.job_id.as_ref().map(|job| format!("/v1/jobs/{job}"));
        match location {
            Some(location) => (StatusCode::ACCEPTED, [(LOCATION, location)], Json(self)).into_response(),
            None => Json(self).into_response(),
        }
    }
}

/// List documents, those that are still being read included, oldest first
#[utoipa::path(get, path = "/v1/corpora/{corpus_id}/documents", tag = "documents", operation_id = "list_documents",
    params(("corpus_id" = String, Path), PageQuery),
    responses((status = 200, body = List<rest::Document>), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn of_corpus(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<rest::Document>>, Refusal> {
    caller.allow(Scope::Read)?;
    let corpus = caller.corpus(&service, &id).await?;
    let page = query.page(Order::Asc)?;
    let listed = service.catalog().list_documents(&caller.owner, &corpus.id, &page).await?;
    Ok(Json(listing::list(&listed, rest::document, |document| &document.id)))
}

/// Show a document
#[utoipa::path(get, path = "/v1/documents/{document_id}", tag = "documents", operation_id = "show_document",
    params(("document_id" = String, Path)),
    responses((status = 200, body = rest::Document), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn show(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Document>, Refusal> {
    caller.allow(Scope::Read)?;
    Ok(Json(rest::document(&caller.document(&service, &id).await?)))
}

/// Delete a document with its text, its KV and its quotes
#[utoipa::path(delete, path = "/v1/documents/{document_id}", tag = "documents", operation_id = "delete_document",
    params(("document_id" = String, Path)),
    responses((status = 200, body = rest::Deleted), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn delete(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Deleted>, Refusal> {
    caller.allow(Scope::Write)?;
    let document = caller.document(&service, &id).await?;
    check_at_rest(service.catalog(), &document).await?;
    service.questions.cancel_quoting(&document.corpus, &document.id).await;
    let freed = service.ingest.stores.remove_document(&document).await?;
    Ok(Json(rest::freed("document.deleted", document.id.as_str(), &freed)))
}

/// Errors: 409 while a job reads the document; it would fail with all its other documents when this one went.
async fn check_at_rest(catalog: &Catalog, document: &Document) -> Result<(), Refusal> {
    for job in catalog.unfinished().await? {
        let reads = job.state == JobState::Running && job.corpus.as_ref() == Some(&document.corpus);
        if reads && catalog.staged(&job.id).await?.iter().any(|staged| staged.id == document.id) {
            let detail = format!(
                "document {} is being read by job {}; wait until the job ends or cancel it first",
                document.id, job.id
            );
            return Err(Refusal::new(409, "being_read", detail));
        }
    }
    Ok(())
}

/// A document as questions see it, since that is what the places of citations refer to; as a job has staged it only
/// where no version is visible yet.
pub async fn shown(service: &Service, caller: &Caller, id: &str) -> Result<Document, Refusal> {
    let newest = caller.document(service, id).await?;
    if newest.version.visible_from.is_some() {
        return Ok(newest);
    }
    match service.catalog().document(&newest.corpus, id).await {
        // An id that is not visible could be the path of another document.
        Ok(visible) if visible.id == newest.id => Ok(visible),
        Ok(_) | Err(catalog::Error::NotFound { .. }) => Ok(newest),
        Err(error) => Err(error.into()),
    }
}

/// Errors: 409 for a document that has no text, or none yet.
pub fn stored_text(document: &Document) -> Result<StoredText, Refusal> {
    document.version.stored.ok_or_else(|| {
        let state = document.version.state;
        Refusal::new(409, "no_text", format!("document {} has no text: it is {state}", document.id))
    })
}

/// Makes documents of the files that arrived: durable, committed and queued when this returns. What was refused is told
/// in its place.
pub async fn take_in(
    service: Arc<Service>,
    caller: Caller,
    corpus: Corpus,
    arrived: Vec<Arrived>,
) -> Result<Upload, Refusal> {
    // On a task of its own: a client that leaves now must not leave files behind that no job reads.
    tokio::spawn(accept(service, caller, corpus, arrived)).await?
}

async fn accept(
    service: Arc<Service>,
    caller: Caller,
    corpus: Corpus,
    arrived: Vec<Arrived>,
) -> Result<Upload, Refusal> {
    let (mut results, mut uploads) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for Arrived { path, bytes, outcome } in arrived {
        let mut result = UploadResult {
            name: path.clone(),
            status: UploadStatus::Refused,
            document_id: None,
            bytes,
            sha256: None,
            deduplicated: false,
            error: None,
        };
        match outcome {
            Ok(received) => {
                let sha256 = received.file.sha256;
                let known = has(service.catalog(), &caller, sha256).await?;
                result.status = UploadStatus::Accepted;
                result.deduplicated = !seen.insert(sha256) || known;
                result.sha256 = Some(sha256.to_string());
                uploads.push(ingest::Upload { path, received });
            }
            Err(Failure { code, detail, .. }) => {
                result.error = Some(Reason { code: code.to_owned(), message: detail });
            }
        }
        results.push(result);
    }
    let accepted = if uploads.is_empty() {
        Accepted::default()
    } else {
        let paths: Vec<String> = uploads.iter().map(|upload| upload.path.clone()).collect();
        check_room(&service, &corpus, &paths).await?;
        service.ingest.accept(&corpus, uploads).await?
    };
    name_documents(&mut results, &accepted);
    let job_id = accepted.job.as_ref().map(|job| job.id.to_string());
    if let Some(job) = accepted.job {
        service.jobs.push(job);
    }
    Ok(Upload { object: "upload", corpus_id: corpus.id.to_string(), job_id, results })
}

/// Whether the caller has these bytes in a corpus that it sees: of others a restricted key learns nothing.
async fn has(catalog: &Catalog, caller: &Caller, sha256: Digest) -> Result<bool, catalog::Error> {
    let Some(file) = catalog.file_with_bytes(&caller.owner, sha256).await? else { return Ok(false) };
    match catalog.file_of(&caller.owner, file.id.as_str()).await {
        Ok(documents) => Ok(documents.iter().any(|document| caller.sees(&document.corpus))),
        // Only questions that began before still see it.
        Err(catalog::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Errors: 422 when the corpus would have more documents than it may.
async fn check_room(service: &Service, corpus: &Corpus, paths: &[String]) -> Result<(), Refusal> {
    let limit = service.settings.service.files_per_corpus;
    let documents = service.catalog().documents_with(&corpus.id, paths).await?;
    if documents <= limit {
        return Ok(());
    }
    let detail = format!(
        "the corpus would have {documents} documents, files_per_corpus = {limit} allows no more; use another corpus \
         or raise service.files_per_corpus in the configuration"
    );
    Err(Refusal::new(422, "too_many_documents", detail))
}

fn name_documents(results: &mut [UploadResult], accepted: &Accepted) {
    let mut documents = HashMap::new();
    for document in &accepted.staged {
        documents.insert(document.path.as_str(), (UploadStatus::Accepted, document.id.as_str()));
    }
    for known in &accepted.unchanged {
        documents.insert(known.path.as_str(), (UploadStatus::Unchanged, known.document.as_str()));
    }
    for result in results.iter_mut().filter(|result| result.status == UploadStatus::Accepted) {
        if let Some((status, id)) = documents.get(result.name.as_str()).copied() {
            result.status = status;
            result.document_id = Some(id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::{FoundFile, JobKind, LOCAL_OWNER, NewFile, Plan, Start};

    #[tokio::test]
    async fn a_restricted_caller_learns_nothing_of_bytes_in_other_corpora() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("catalog.sqlite")).await.unwrap();
        let secret = catalog.create_corpus(LOCAL_OWNER, "secret").await.unwrap().id;
        let open = catalog.create_corpus(LOCAL_OWNER, "open").await.unwrap().id;
        let sha256 = Digest([7; 32]);
        let file = FoundFile { path: "a.txt".into(), file: NewFile { sha256, bytes: 1 }, place: None };
        let plan = Plan { added: vec![file], ..Plan::default() };
        let start = Start::Queue { kind: JobKind::Ingest, params: serde_json::Value::Null };
        catalog.begin_ingest(LOCAL_OWNER, &secret, &plan, start).await.unwrap();
        let caller = |owner: &str, corpora| Caller {
            owner: owner.to_owned(),
            scopes: [Scope::Write].into(),
            corpora,
            expires_ms: None,
            open: false,
        };
        let knows = async |caller: Caller| has(&catalog, &caller, sha256).await.unwrap();
        assert!(knows(caller(LOCAL_OWNER, None)).await);
        assert!(knows(caller(LOCAL_OWNER, Some(vec![secret]))).await);
        assert!(!knows(caller(LOCAL_OWNER, Some(vec![open]))).await);
        assert!(!knows(caller("other", None)).await);
    }
}
