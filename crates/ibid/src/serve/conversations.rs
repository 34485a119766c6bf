//! `/v1/conversations`: questions about one corpus that follow from each other, kept by the server.

use super::{
    caller::Caller,
    extract::{Body, Path, Query},
    listing::{self, Order, PageQuery, sifted},
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
use catalog::{Page, Scope};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Code points of a title.
const TITLE_LIMIT: usize = 200;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConversation {
    pub corpus_id: String,
    /// One line.
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    pub title: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Conversation {
    /// `conversation`
    pub object: &'static str,
    pub id: String,
    pub corpus_id: String,
    /// Empty when none was given.
    pub title: String,
    /// Oldest first; only where one conversation is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Vec<rest::Answer>>,
    #[schema(required)]
    pub created_at: Option<String>,
    /// When its newest answer was asked for.
    #[schema(required)]
    pub updated_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedConversation {
    /// `conversation.deleted`
    pub object: &'static str,
    pub id: String,
    /// `true`
    pub deleted: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConversationQuery {
    /// Only those about this corpus.
    pub corpus_id: Option<String>,
    /// 1 to 1,000
    #[param(minimum = 1, maximum = 1000, default = 20)]
    pub limit: Option<u32>,
    /// Id of the last object seen.
    pub after: Option<String>,
    /// Id of the first object seen.
    pub before: Option<String>,
    /// `asc` or `desc`
    #[param(inline)]
    pub order: Option<Order>,
}

fn object(conversation: &catalog::Conversation) -> Conversation {
    Conversation {
        object: "conversation",
        id: conversation.id.to_string(),
        corpus_id: conversation.corpus.to_string(),
        title: conversation.title.clone(),
        answers: None,
        created_at: rest::time(conversation.created_ms),
        updated_at: rest::time(conversation.updated_ms),
    }
}

/// Begin a conversation
#[utoipa::path(post, path = "/v1/conversations", tag = "conversations", operation_id = "create_conversation", request_body = NewConversation,
    responses((status = 201, body = Conversation), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn create(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Body(new): Body<NewConversation>,
) -> Result<impl IntoResponse, Refusal> {
    caller.allow(Scope::Ask)?;
    let corpus = caller.corpus(&service, &new.corpus_id).await?;
    let title = checked_title(new.title.as_deref().unwrap_or_default())?;
    let conversation = service.catalog().create_conversation(&caller.owner, &corpus.id, title).await?;
    let location = format!("/v1/conversations/{}", conversation.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(object(&conversation))))
}

/// Errors: 422 for a title that is too long or not one line.
fn checked_title(title: &str) -> Result<&str, Refusal> {
    let title = title.trim();
    if title.chars().count() > TITLE_LIMIT || title.contains(|c: char| c.is_control()) {
        let detail = format!("a title has at most {TITLE_LIMIT} characters on one line");
        return Err(Refusal::new(422, "bad_title", detail));
    }
    Ok(title)
}

/// List conversations, newest first
#[utoipa::path(get, path = "/v1/conversations", tag = "conversations", operation_id = "list_conversations", params(ConversationQuery),
    responses((status = 200, body = List<Conversation>), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(query): Query<ConversationQuery>,
) -> Result<Json<List<Conversation>>, Refusal> {
    caller.allow(Scope::Read)?;
    let ConversationQuery { corpus_id, limit, after, before, order } = query;
    let page = PageQuery { limit, after, before, order }.page(Order::Desc)?;
    let corpus = match &corpus_id {
        Some(id) => Some(caller.corpus(&service, id).await?.id),
        None => None,
    };
    for cursor in page.after.iter().chain(&page.before) {
        conversation_of(&service, &caller, cursor).await?;
    }
    let rows = |page: Page| {
        let (catalog, owner) = (service.catalog().clone(), caller.owner.clone());
        async move { catalog.list_conversations(&owner, &page).await }
    };
    let listed = if corpus.is_none() && caller.corpora.is_none() {
        rows(page).await?
    } else {
        let wanted = |found: &catalog::Conversation| {
            caller.sees(&found.corpus) && corpus.as_ref().is_none_or(|corpus| *corpus == found.corpus)
        };
        sifted::<catalog::Conversation, _>(page, rows, |found| &found.id, wanted).await?
    };
    Ok(Json(listing::list(&listed, object, |conversation| &conversation.id)))
}

/// Show a conversation with its answers
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}", tag = "conversations", operation_id = "show_conversation", params(("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn show(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Conversation>, Refusal> {
    caller.allow(Scope::Read)?;
    let conversation = conversation_of(&service, &caller, &id).await?;
    let answers = service.catalog().answers_of(&caller.owner, &conversation.id).await?;
    let answers = answers.iter().map(rest::stored_answer).collect();
    Ok(Json(Conversation { answers: Some(answers), ..object(&conversation) }))
}

/// Delete a conversation with its answers
#[utoipa::path(delete, path = "/v1/conversations/{conversation_id}", tag = "conversations", operation_id = "delete_conversation", params(("conversation_id" = String, Path)),
    responses((status = 200, body = DeletedConversation), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn delete(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeletedConversation>, Refusal> {
    caller.allow(Scope::Ask)?;
    let conversation = conversation_of(&service, &caller, &id).await?;
    for answer in service.catalog().answers_of(&caller.owner, &conversation.id).await? {
        if let Some(live) = service.questions.live(answer.id.as_str()) {
            service.questions.cancel(answer.id.as_str()).await;
            live.ended().await;
        }
    }
    service.catalog().delete_conversation(&caller.owner, &id).await?;
    Ok(Json(DeletedConversation { object: "conversation.deleted", id, deleted: true }))
}

async fn conversation_of(
    service: &Service,
    caller: &Caller,
    id: &str,
) -> Result<catalog::Conversation, Refusal> {
    let conversation = service.catalog().conversation(&caller.owner, id).await?;
    if caller.sees(&conversation.corpus) {
        Ok(conversation)
    } else {
        Err(Refusal::not_found("conversation", id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(checked_title("  Leases ").unwrap(), "Leases");
        assert_eq!(checked_title("").unwrap(), "");
        assert!(checked_title("a\nb").is_err());
        assert!(checked_title(&"ä".repeat(200)).is_ok());
        assert_eq!(checked_title(&"ä".repeat(201)).unwrap_err().code(), "bad_title");
    }
}
