//! `/v1/models`: what can be asked, in OpenAI's list form; and `/v1/models/plan`: what reading would take.

use super::{
    caller::Caller,
    extract::Body,
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::commands::model::plan::{Machine, Plan, PlanRequest};
use axum::{Json, extract::State};
use catalog::Scope;
use scout::ModelShape;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// `list`
    pub object: &'static str,
    pub data: Vec<ModelEntry>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelEntry {
    /// `corpus:` and the id of a corpus that can be asked, or the name of the model in use.
    pub id: String,
    /// `model`
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    pub owned_by: String,
}

/// List what `/v1/chat/completions` can be asked, and the model in use
#[utoipa::path(get, path = "/v1/models", tag = "models", operation_id = "list_models",
    responses((status = 200, body = ModelList), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn list(State(service): State<Arc<Service>>, caller: Caller) -> Result<Json<ModelList>, Refusal> {
    caller.allow(Scope::Read)?;
    let corpora = service.catalog().corpora(&caller.owner).await?;
    let asked = corpora.iter().filter(|corpus| corpus.version > 0 && caller.sees(&corpus.id));
    let entry = |id: String, created_ms: u64, owned_by: &str| ModelEntry {
        id,
        object: "model",
        created: created_ms / 1_000,
        owned_by: owned_by.to_owned(),
    };
    let mut data: Vec<ModelEntry> = asked
        .map(|corpus| entry(format!("corpus:{}", corpus.id), corpus.created_ms, &caller.owner))
        .collect();
    data.push(entry(service.ingest.engine.name().to_owned(), service.began_ms, "ibid"));
    Ok(Json(ModelList { object: "list", data }))
}

/// Plan what reading so many tokens takes
#[utoipa::path(post, path = "/v1/models/plan", tag = "models", operation_id = "plan", request_body = PlanRequest,
    responses((status = 200, body = Plan), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn plan(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Body(request): Body<PlanRequest>,
) -> Result<Json<Plan>, Refusal> {
    caller.allow(Scope::Read)?;
    let shape =
        request.model.preset.shape().unwrap_or_else(|| ModelShape::from(service.ingest.engine.config()));
    let machine = Machine { measured: service.jobs.prefill_rate(), ..Machine::here(&service.settings) };
    Ok(Json(Plan::new(&request, &shape, &machine)?))
}
