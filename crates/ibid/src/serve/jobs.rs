//! `/v1/jobs`: everything slow: list, show, cancel, retry, and progress as server-sent events.

use super::{
    caller::Caller,
    description::JobStreamEvent,
    extract::{Path, Query},
    listing::{self, Order, PageQuery},
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
use base::Id;
use catalog::{Job, JobKind, JobState, Listed, Page, Scope};
use ingest::Stage;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How often a job is looked at for its listeners.
const LOOK: Duration = Duration::from_millis(250);
/// Proxies close a connection that is silent for long.
const PING: Duration = Duration::from_secs(10);
/// Rows read at once where not all of them are listed.
const SIFTED: u32 = 500;

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
/// One that has not begun is thrown away at once; one that runs stops at its next safe point.
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

/// A job with the KV that it has written so far.
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

/// A page of those rows that `wanted` lets through: as many as asked for while there are any, so that a list never
/// seems to end, and no cursor points at what the caller may not know of. The page's cursors are taken as checked.
pub async fn sifted<T, F>(
    page: Page,
    rows: impl Fn(Page) -> F,
    id: impl Fn(&T) -> &Id,
    wanted: impl Fn(&T) -> bool,
) -> Result<Listed<T>, catalog::Error>
where
    F: Future<Output = Result<Listed<T>, catalog::Error>>,
{
    let limit = page.limit as usize;
    // In front of a cursor, the rows nearest to it are wanted: pages are read towards the front.
    let backwards = page.before.is_some() && page.after.is_none();
    let mut items: Vec<T> = Vec::new();
    let mut next = Page { limit: SIFTED, ..page };
    loop {
        let Listed { items: mut read, has_more } = rows(next.clone()).await?;
        let edge = if backwards { read.first() } else { read.last() };
        let edge = edge.map(|row| id(row).to_string());
        read.retain(|row| wanted(row));
        if backwards {
            read.append(&mut items);
            items = read;
        } else {
            items.append(&mut read);
        }
        let Some(edge) = edge.filter(|_| has_more && items.len() <= limit) else { break };
        if backwards { next.before = Some(edge) } else { next.after = Some(edge) }
    }
    let has_more = items.len() > limit;
    if backwards {
        items.drain(..items.len().saturating_sub(limit));
    } else {
        items.truncate(limit);
    }
    Ok(Listed { items, has_more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::IdKind;

    /// Rows 0 .. 1,200 as the catalog would give them, oldest first.
    fn rows(page: Page) -> std::future::Ready<Result<Listed<Id>, catalog::Error>> {
        let all: Vec<Id> = (0..1_200).map(row).collect();
        let inside = |id: &&Id| {
            page.after.as_deref().is_none_or(|after| id.as_str() > after)
                && page.before.as_deref().is_none_or(|before| id.as_str() < before)
        };
        let mut items: Vec<Id> = all.iter().filter(inside).cloned().collect();
        let (limit, backwards) = (page.limit as usize, page.before.is_some() && page.after.is_none());
        let has_more = items.len() > limit;
        if backwards {
            items.drain(..items.len().saturating_sub(limit));
        } else {
            items.truncate(limit);
        }
        std::future::ready(Ok(Listed { items, has_more }))
    }

    fn row(n: u64) -> Id {
        Id::new(IdKind::Job, n, 0)
    }

    async fn page(after: Option<u64>, before: Option<u64>, wanted: &[u64]) -> (Vec<Id>, bool) {
        let cursor = |n: Option<u64>| n.map(|n| row(n).to_string());
        let page = Page { limit: 2, after: cursor(after), before: cursor(before), descending: false };
        let wanted: Vec<Id> = wanted.iter().copied().map(row).collect();
        let listed = sifted::<Id, _>(page, rows, |id| id, |id| wanted.contains(id)).await.unwrap();
        (listed.items, listed.has_more)
    }

    #[tokio::test]
    async fn a_sifted_page_is_full_while_there_is_anything() {
        let wanted = [3, 600, 1_100];
        assert_eq!(page(None, None, &wanted).await, (vec![row(3), row(600)], true));
        assert_eq!(page(Some(600), None, &wanted).await, (vec![row(1_100)], false));
        assert_eq!(page(None, Some(1_100), &wanted).await, (vec![row(3), row(600)], false));
        assert_eq!(page(None, Some(1_199), &wanted).await, (vec![row(600), row(1_100)], true));
        assert_eq!(page(None, None, &[]).await, (vec![], false));
    }
}
