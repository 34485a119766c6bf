//! `/v1/corpora/{id}/answers` and `/v1/answers`: ask, wait or listen, come back for it, cancel, replay, delete.

use super::{
    answer_events::{self, Follow},
    caller::Caller,
    description::AnswerStreamEvent,
    extract::{Body, Path, Query},
    listing::{Order, PageQuery, list},
    live::Live,
    questions::check_length,
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::rest::{self, List};
use answer::{AskRequest, Mode};
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use base::{Id, IdKind};
use catalog::{AnswerStatus, Corpus, NewQuestion, Scope};
use scout::Sampling;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAnswer {
    /// Holds a letter or a digit.
    #[schema(min_length = 1, pattern = r"[\p{L}\p{N}]")]
    pub question: String,
    /// Server-sent events instead of one object.
    #[serde(default)]
    pub stream: bool,
    #[serde(default)]
    #[schema(inline)]
    pub mode: AnswerMode,
    /// Ids of documents; empty asks all of the corpus.
    #[serde(default)]
    pub documents: Vec<String>,
    /// Earlier turns of it enter the prompt and the search; they are never cited.
    pub conversation_id: Option<String>,
    #[serde(default, deserialize_with = "rest::whole_if_given")]
    #[schema(minimum = 1)]
    pub max_output_tokens: Option<u64>,
    /// 0 always takes the likeliest token.
    #[schema(minimum = 0, maximum = 100)]
    pub temperature: Option<f64>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// Makes answers of a temperature above 0 repeatable.
    #[serde(default, deserialize_with = "rest::whole_if_given")]
    #[schema(format = "uint64", maximum = 18_446_744_073_709_551_615_u64)]
    pub seed: Option<u64>,
    /// Earlier turns of a chat that is kept elsewhere.
    #[serde(skip)]
    #[schema(ignore)]
    pub history: Vec<answer::Turn>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMode {
    /// What scores best: quoting.
    #[default]
    Auto,
    /// Whole sentences, rows or lines of the documents.
    Quote,
    /// The model's own words, cited where a passage supports them.
    Free,
}

impl From<AnswerMode> for Mode {
    fn from(mode: AnswerMode) -> Self {
        match mode {
            AnswerMode::Auto => Self::Auto,
            AnswerMode::Quote => Self::Quote,
            AnswerMode::Free => Self::Free,
        }
    }
}

/// The answer a request asked for. In the extensions of a request: it was asked for before, under the same
/// Idempotency-Key, and is listened to again. In those of a response: it is a stream of this answer.
#[derive(Debug, Clone)]
pub struct Asked(pub Id);

/// Ask a corpus a question
///
/// Waits for the answer; with `stream` its events as they come; with `Prefer: respond-async` a place to look for it.
#[utoipa::path(post, path = "/v1/corpora/{corpus_id}/answers", tag = "answers", operation_id = "ask",
    params(("corpus_id" = String, Path), ("Prefer" = Option<String>, Header, description = "`respond-async`")), request_body = NewAnswer,
    responses((status = 200, content((rest::Answer = "application/json"), (AnswerStreamEvent = "text/event-stream"))),
        (status = 202, body = rest::Answer), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn ask(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(corpus): Path<String>,
    before: Option<Extension<Asked>>,
    headers: HeaderMap,
    Body(new): Body<NewAnswer>,
) -> Result<Response, Refusal> {
    caller.allow(Scope::Ask)?;
    let corpus = caller.corpus(&service, &corpus).await?;
    let live = match before {
        Some(Extension(Asked(id))) => told(&service, &caller, &id).await?,
        None => accept(&service, &caller, &corpus, &new).await?,
    };
    let id = live.id.to_string();
    // Known before its first event, which comes when its turn does: it can be stopped and found again until then.
    let location = [(LOCATION, format!("/v1/answers/{id}"))];
    if new.stream {
        let asked = Extension(Asked(live.id.clone()));
        return Ok((location, asked, answer_events::stream(Follow::Live(live), 0)).into_response());
    }
    if prefers_async(&headers) {
        let accepted = rest::stored_answer(&service.catalog().answer(&caller.owner, &id).await?);
        return Ok((StatusCode::ACCEPTED, location, Json(accepted)).into_response());
    }
    live.ended().await;
    Ok(Json(finished(&service, &caller, &live).await?).into_response())
}

fn prefers_async(headers: &HeaderMap) -> bool {
    let wishes = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    wishes.flat_map(|line| line.split(',')).any(|wish| wish.trim().eq_ignore_ascii_case("respond-async"))
}

/// Checks a question and puts it in the line.
pub async fn accept(
    service: &Service,
    caller: &Caller,
    corpus: &Corpus,
    new: &NewAnswer,
) -> Result<Arc<Live>, Refusal> {
    check_length(&new.question, service.settings.service.question_characters)?;
    let request = request(service, corpus, new).await?;
    answer::check(&service.ingest, corpus, &request)?;
    let conversation = match &new.conversation_id {
        Some(id) => {
            let found = service.catalog().conversation(&caller.owner, id).await?;
            if found.corpus != corpus.id {
                return Err(Refusal::not_found("conversation", id));
            }
            Some(found.id)
        }
        None => None,
    };
    let place = service.questions.reserve(&caller.owner)?;
    let question = NewQuestion {
        corpus: corpus.id.clone(),
        conversation,
        question: request.question.clone(),
        mode: request.mode.as_str().into(),
        seed: request.sampling.seed,
        request: serde_json::to_value(&request)?,
    };
    let (catalog, questions, owner) =
        (service.catalog().clone(), service.questions.clone(), caller.owner.clone());
    // On a task of its own: what is accepted has to get into the line, also when the client leaves now.
    let accepted = tokio::spawn(async move {
        let (id, _) = catalog.accept_answer(&owner, &question).await?;
        Ok::<_, catalog::Error>(questions.enqueue(place, catalog.answer(&owner, id.as_str()).await?))
    });
    Ok(accepted.await??)
}

/// An accepted answer with all that was said: while it is made, or afterwards.
pub async fn told(service: &Service, caller: &Caller, id: &Id) -> Result<Arc<Live>, Refusal> {
    let stored = find(service, caller, id.as_str()).await?;
    match service.questions.live(id.as_str()) {
        Some(live) => Ok(live),
        None => Ok(Arc::new(Live::over(&stored, answer_events::stored(service, &stored, 0).await?))),
    }
}

async fn request(service: &Service, corpus: &Corpus, new: &NewAnswer) -> Result<AskRequest, Refusal> {
    for document in &new.documents {
        let parsed =
            Id::parse(IdKind::Document, document).map_err(|_| Refusal::not_found("document", document))?;
        service.catalog().document(&corpus.id, parsed.as_str()).await?;
    }
    let (temperature, top_p) = (new.temperature.unwrap_or(0.0), new.top_p.unwrap_or(1.0));
    if !((0.0..=100.0).contains(&temperature) && top_p > 0.0 && top_p <= 1.0) {
        let detail = "temperature is 0 to 100, top_p above 0 and up to 1";
        return Err(Refusal::new(422, "bad_field", detail));
    }
    if new.max_output_tokens == Some(0) {
        return Err(Refusal::new(422, "bad_field", "max_output_tokens is at least 1"));
    }
    // The smallest f32 above 0 stands for whatever is smaller.
    let (temperature, top_p) = (temperature as f32, (top_p as f32).max(f32::MIN_POSITIVE));
    let defaults = AskRequest::new(&new.question, new.mode.into());
    Ok(AskRequest {
        documents: new.documents.clone(),
        history: new.history.clone(),
        max_output_tokens: new.max_output_tokens.unwrap_or(defaults.max_output_tokens),
        sampling: Sampling { temperature, top_p, seed: new.seed.unwrap_or(0) },
        ..defaults
    })
}

/// The answer that was waited for; one that failed is a problem, not an object.
pub async fn finished(service: &Service, caller: &Caller, live: &Live) -> Result<rest::Answer, Refusal> {
    if let Some(refusal) = live.refusal() {
        return Err(refusal);
    }
    let stored = service.catalog().answer(&caller.owner, live.id.as_str()).await?;
    if matches!(stored.status, AnswerStatus::Queued | AnswerStatus::Running) {
        let detail = format!(
            "the service stops; the question is answered when it is started again, at /v1/answers/{}",
            stored.id
        );
        return Err(Refusal::new(503, "stopping", detail));
    }
    let related = live.related();
    Ok(rest::Answer { related, ..rest::stored_answer(&stored) })
}

/// List the answers of a corpus, newest first
#[utoipa::path(get, path = "/v1/corpora/{corpus_id}/answers", tag = "answers", operation_id = "list_answers", params(("corpus_id" = String, Path), PageQuery),
    responses((status = 200, body = List<rest::Answer>), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn of_corpus(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(corpus): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<rest::Answer>>, Refusal> {
    caller.allow(Scope::Read)?;
    let corpus = caller.corpus(&service, &corpus).await?;
    let page = query.page(Order::Desc)?;
    let listed = service.catalog().list_answers(&caller.owner, &corpus.id, &page).await?;
    Ok(Json(list(&listed, rest::stored_answer, |answer| &answer.id)))
}

/// A stored answer of the caller.
async fn find(service: &Service, caller: &Caller, id: &str) -> Result<catalog::Answer, Refusal> {
    let stored = service.catalog().answer(&caller.owner, id).await?;
    if caller.sees(&stored.corpus) { Ok(stored) } else { Err(Refusal::not_found("answer", id)) }
}

/// Show an answer
#[utoipa::path(get, path = "/v1/answers/{answer_id}", tag = "answers", operation_id = "show_answer", params(("answer_id" = String, Path)),
    responses((status = 200, body = rest::Answer), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn show(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Answer>, Refusal> {
    caller.allow(Scope::Read)?;
    Ok(Json(rest::stored_answer(&find(&service, &caller, &id).await?)))
}

/// Listen to an answer, from its beginning or from the event behind `Last-Event-ID`
#[utoipa::path(get, path = "/v1/answers/{answer_id}/events", tag = "answers", operation_id = "follow_answer",
    params(("answer_id" = String, Path), ("Last-Event-ID" = Option<u64>, Header, format = "uint64", maximum = 18_446_744_073_709_551_615_u64)),
    responses((status = 200, body = AnswerStreamEvent, content_type = "text/event-stream"), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn events(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.allow(Scope::Read)?;
    let stored = find(&service, &caller, &id).await?;
    let last =
        headers.get("last-event-id").map(|value| value.to_str().ok().and_then(|v| v.parse::<u64>().ok()));
    let next = match last {
        None => 0,
        Some(Some(last)) => last.saturating_add(1),
        Some(None) => {
            return Err(Refusal::new(422, "bad_event_id", "Last-Event-ID is the number of an event"));
        }
    };
    let follow = match service.questions.live(&id) {
        Some(live) => Follow::Live(live),
        None => Follow::Stored(answer_events::stored(&service, &stored, next).await?),
    };
    Ok(answer_events::stream(follow, next))
}

/// Stop an answer
#[utoipa::path(post, path = "/v1/answers/{answer_id}/cancel", tag = "answers", operation_id = "cancel_answer", params(("answer_id" = String, Path)),
    responses((status = 200, body = rest::Answer), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn cancel(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Answer>, Refusal> {
    caller.allow(Scope::Ask)?;
    let stored = find(&service, &caller, &id).await?;
    let live = service.questions.live(&id);
    if !matches!(stored.status, AnswerStatus::Queued | AnswerStatus::Running) {
        let detail = format!("answer {id} is {}; only one that waits or runs can be stopped", stored.status);
        return Err(Refusal::new(409, "answer_finished", detail));
    }
    service.questions.cancel(&id).await;
    if let Some(live) = live {
        live.ended().await;
    }
    Ok(Json(rest::stored_answer(&find(&service, &caller, &id).await?)))
}

/// Delete an answer; one that runs is stopped
#[utoipa::path(delete, path = "/v1/answers/{answer_id}", tag = "answers", operation_id = "delete_answer", params(("answer_id" = String, Path)),
    responses((status = 200, body = DeletedAnswer), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn delete(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeletedAnswer>, Refusal> {
    caller.allow(Scope::Ask)?;
    find(&service, &caller, &id).await?;
    if let Some(live) = service.questions.live(&id) {
        service.questions.cancel(&id).await;
        live.ended().await;
    }
    service.catalog().delete_answer(&caller.owner, &id).await?;
    Ok(Json(DeletedAnswer { object: "answer.deleted", id, deleted: true }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedAnswer {
    /// `answer.deleted`
    pub object: &'static str,
    pub id: String,
    pub deleted: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// `replay`
    pub object: &'static str,
    /// Text, spans and quotes are the stored ones.
    pub identical: bool,
    pub answer: rest::Answer,
}

/// Give an answer again from its plan and compare
#[utoipa::path(post, path = "/v1/answers/{answer_id}/replay", tag = "answers", operation_id = "replay_answer", params(("answer_id" = String, Path)),
    responses((status = 200, body = Replayed), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn replay(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, Refusal> {
    caller.allow(Scope::Ask)?;
    caller.allow(Scope::Read)?;
    let stored = find(&service, &caller, &id).await?;
    if stored.status != AnswerStatus::Completed {
        let detail = format!("answer {id} is {}; only a complete one can be given again", stored.status);
        return Err(Refusal::new(409, "cannot_replay", detail));
    }
    let busy =
        || Refusal::busy("replay_busy", "another answer is being given again; try again in a moment", 2);
    let permit = service.replaying.clone().try_acquire_owned().map_err(|_| busy())?;
    let (ingest, owner) = (service.ingest.clone(), caller.owner.clone());
    // On a task of its own: the model runs on its thread.
    let replay = tokio::spawn(async move {
        let replay = answer::replay(&ingest, &owner, &id).await;
        drop(permit);
        replay
    });
    let replay = replay.await??;
    Ok(Json(Replayed { object: "replay", identical: replay.identical, answer: rest::answer(&replay.answer) }))
}
