//! `/v1/usage`: what the caller's owner has, has used, and is allowed.

use super::{
    caller::Caller,
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::settings;
use axum::{Json, extract::State};
use catalog::Scope;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct OwnerUsage {
    /// `usage`
    pub object: &'static str,
    pub owner: String,
    pub corpora: u64,
    pub documents: u64,
    pub tokens: u64,
    pub storage: OwnerStorage,
    pub limits: ServiceLimits,
    /// Answers that are still kept; the sums below are over them.
    pub answers: u64,
    pub output_tokens: u64,
    /// Document tokens that were computed again for answers.
    pub prefilled_corpus_tokens: u64,
    /// Document tokens that were composed from disk.
    pub reused_corpus_tokens: u64,
}

/// Bytes on disk; what several corpora share counts once.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnerStorage {
    pub source_bytes: u64,
    pub text_bytes: u64,
    pub kv_bytes: u64,
}

/// As in the table `[service]` of the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceLimits {
    pub upload_bytes: u64,
    pub upload_files: u64,
    pub request_bytes: u64,
    pub files_per_corpus: u64,
    pub kv_bytes_per_owner: u64,
    pub question_characters: u64,
    pub concurrent_questions: u64,
    pub queued_questions: u64,
}

impl From<&settings::Service> for ServiceLimits {
    fn from(limits: &settings::Service) -> Self {
        Self {
            upload_bytes: limits.upload_bytes,
            upload_files: limits.upload_files,
            request_bytes: limits.request_bytes,
            files_per_corpus: limits.files_per_corpus,
            kv_bytes_per_owner: limits.kv_bytes_per_owner,
            question_characters: limits.question_characters,
            concurrent_questions: limits.concurrent_questions,
            queued_questions: limits.queued_questions,
        }
    }
}

/// Show what is stored, was used and is allowed
#[utoipa::path(get, path = "/v1/usage", tag = "service",
    responses((status = 200, body = OwnerUsage), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn usage(State(service): State<Arc<Service>>, caller: Caller) -> Result<Json<OwnerUsage>, Refusal> {
    caller.allow(Scope::Read)?;
    // The sums would tell of corpora that the key does not open.
    if caller.corpora.is_some() {
        return Err(Refusal::new(
            403,
            "forbidden",
            "this key is restricted to some corpora, usage is of all of them",
        ));
    }
    let used = service.catalog().usage(&caller.owner).await?;
    Ok(Json(OwnerUsage {
        object: "usage",
        owner: caller.owner,
        corpora: used.corpora,
        documents: used.documents,
        tokens: used.tokens,
        storage: OwnerStorage {
            source_bytes: used.source_bytes,
            text_bytes: used.text_bytes,
            kv_bytes: used.kv_bytes,
        },
        limits: ServiceLimits::from(&service.settings.service),
        answers: used.answers,
        output_tokens: used.output_tokens,
        prefilled_corpus_tokens: used.prefilled_corpus_tokens,
        reused_corpus_tokens: used.reused_corpus_tokens,
    }))
}
