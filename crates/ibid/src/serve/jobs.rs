//! `/v1/jobs`: everything slow: list, show, cancel, retry, and progress as server-sent events.

use super::{
    caller::Caller,
    description::JobStreamEvent,
    extract::{Path, Query},
    listing::{self, Order, PageQuery, sifted},
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::rest::{self, List};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use catalog::{Job, JobKind, JobState, Page, Scope};
use ingest::Stage;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How often a job is looked at for its listeners.
const LOOK: Duration = Duration::from_millis(250);
/// Proxies close a connection that is silent for long.
const PING: Duration = Duration::from_secs(10);

type Sender = mpsc::Sender<Result<Event, Infallible>>;

/// List jobs, newest first
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs", params(PageQuery),
    responses((status = 200, body = List<rest::Job>), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<rest::Job>>, Refusal> {
    caller.allow(Scope::Read)?;
    let page = query.page(Order::Desc)?;
    for cursor in page.after.iter().chain(&page.before) {
        job_of(&service, &caller, cursor).await?;
    }
    let rows = |page: Page| {
        let (catalog, owner) = (service.catalog().clone(), caller.owner.clone());
        async move { catalog.list_jobs(&owner, &page).await }
    };
    let listed = match caller.corpora {
        None => rows(page).await?,
        Some(_) => sifted::<Job, _>(page, rows, |job| &job.id, |job| visible(&caller, job)).await?,
    };
    Ok(Json(listing::list(&listed, |job| object(&service, job), |job| &job.id)))
}

/// Show a job
#[utoipa::path(get, path = "/v1/jobs/{job_id}", tag = "jobs", operation_id = "show_job", params(("job_id" = String, Path)),
    responses((status = 200, body = rest::Job), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn show(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Job>, Refusal> {
    caller.allow(Scope::Read)?;
    Ok(Json(object(&service, &job_of(&service, &caller, &id).await?)))
}

/// Ask a job to stop
///
/// One that has not begun is thrown away at once; one that runs stops at its next safe point. Documents that it has
/// finished stay, the others are thrown away with what was computed for them.
#[utoipa::path(post, path = "/v1/jobs/{job_id}/cancel", tag = "jobs", operation_id = "cancel_job", params(("job_id" = String, Path)),
    responses((status = 200, body = rest::Job), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn cancel(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<rest::Job>, Refusal> {
    caller.allow(Scope::Write)?;
    let job = job_of(&service, &caller, &id).await?;
    // What a failed ingest staged waits to be tried again; this is how to be rid of it.
    let waits = job.kind == JobKind::Ingest && job.state == JobState::Failed;
    if ended(job.state) && !waits {
        let detail = format!("job {id} is already {}; there is nothing to stop", job.state);
        return Err(Refusal::new(409, "job_finished", detail));
    }
    Ok(Json(object(&service, &service.jobs.cancel(&caller.owner, &id).await?)))
}

/// Go on with a failed ingest
///
/// What it had read is kept; it goes on behind the jobs that wait.
#[utoipa::path(post, path = "/v1/jobs/{job_id}/retry", tag = "jobs", operation_id = "retry_job", params(("job_id" = String, Path)),
    responses((status = 202, body = rest::Job), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn retry(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<rest::Job>), Refusal> {
    caller.allow(Scope::Write)?;
    let job = job_of(&service, &caller, &id).await?;
    // Without its corpus there is nothing to read into.
    if job.kind != JobKind::Ingest || job.state != JobState::Failed || job.corpus.is_none() {
        let detail =
            format!("job {id} ({}) is {}; only a failed ingest can be tried again", job.kind, job.state);
        return Err(Refusal::new(409, "not_retryable", detail));
    }
    service.catalog().requeue_job(&job.id).await?;
    let job = service.catalog().job(&caller.owner, &id).await?;
    let queued = object(&service, &job);
    service.jobs.push(job);
    Ok((StatusCode::ACCEPTED, Json(queued)))
}

/// Follow a job
///
/// `job.progress` with the job whenever it changed; `job.finished` with the job is the last event.
#[utoipa::path(get, path = "/v1/jobs/{job_id}/events", tag = "jobs", operation_id = "follow_job", params(("job_id" = String, Path)),
    responses((status = 200, body = JobStreamEvent, content_type = "text/event-stream"), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn events(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    caller.allow(Scope::Read)?;
    let job = job_of(&service, &caller, &id).await?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(follow(service, job, sender));
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(PING).text("ping")))
}

/// Tells what changes until the job has ended, the listener has gone or the service stops.
async fn follow(service: Arc<Service>, first: Job, to: Sender) {
    let mut job = first;
    loop {
        let last = ended(job.state);
        let name = if last { "job.finished" } else { "job.progress" };
        if !tell(&to, name, &object(&service, &job)).await || last {
            return;
        }
        job = loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = to.closed() => return,
            }
            // An open stream would keep the service from ending; the client comes back.
            if service.stopping.requested() {
                return;
            }
            match service.catalog().job(&job.owner, job.id.as_str()).await {
                Ok(now) if now != job => break now,
                Ok(_) => {}
                Err(error) => {
                    tell(&to, "error", &Refusal::from(error).object()).await;
                    return;
                }
            }
        };
    }
}

/// `false`: nobody listens.
async fn tell(to: &Sender, name: &str, object: &impl serde::Serialize) -> bool {
    // Objects of ours always encode, and JSON has no raw line ends: it is one line of data.
    let data = serde_json::to_string(object).unwrap_or_default();
    to.send(Ok(Event::default().event(name).data(data))).await.is_ok()
}

fn ended(state: JobState) -> bool {
    !matches!(state, JobState::Queued | JobState::Running)
}

/// A job with the bytes of the KV that it has computed so far.
fn object(service: &Service, job: &Job) -> rest::Job {
    let mut object = rest::job(job);
    if object.progress.unit == Stage::Prefill.unit() {
        let per_token = service.ingest.engine.kv_bytes_per_token();
        object.progress.kv_bytes = Some(object.progress.done.saturating_mul(per_token));
    }
    object
}

async fn job_of(service: &Service, caller: &Caller, id: &str) -> Result<Job, Refusal> {
    let job = service.catalog().job(&caller.owner, id).await?;
    if visible(caller, &job) { Ok(job) } else { Err(Refusal::not_found("job", id)) }
}

/// A key restricted to corpora sees their jobs alone, no longer those of a removed one.
fn visible(caller: &Caller, job: &Job) -> bool {
    match &job.corpus {
        Some(corpus) => caller.sees(corpus),
        None => caller.corpora.is_none(),
    }
}
