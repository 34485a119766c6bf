//! `POST /v1/corpora/{id}/documents`: the parts of a multipart body, streamed to disk and hashed while they come. Memory
//! stays bounded whatever is sent: [`Gate`] gives the parser no more than it asks for, a bounded channel feeds the
//! thread that writes. One bad file fails alone; a request that breaks off leaves nothing.

use super::{
    caller::Caller,
    documents::{Arrived, Upload, take_in},
    extract::Path,
    files::document_path,
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::problem::Failure;
use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{
        DefaultBodyLimit, FromRequest, Request, State,
        multipart::{Field, Multipart, MultipartError},
    },
    http::{HeaderMap, header},
};
use catalog::Scope;
use corpus::{ExtractError, Limits};
use ingest::{Library, Received};
use serde::Deserialize;
use std::{
    collections::HashSet,
    io, mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_stream::Stream;
use utoipa::ToSchema;

/// Bytes after which a file is looked at while it comes.
const LOOK_BYTES: u64 = 64 << 10;
/// Name of every part.
const PART: &str = "files";
/// Chunks that wait for the writing thread.
const QUEUE: usize = 4;
/// Most bytes in front of the first part, or of one part's headers.
const HEAD_LIMIT: u64 = 1 << 20;
/// A client that sends no [`PACE_BYTES`] in this time is given up.
pub const PACE: Duration = Duration::from_secs(60);
const PACE_BYTES: u64 = 64 << 10;

/// `multipart/form-data`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes the body, which is never held as a whole")]
pub struct UploadForm {
    /// Any number of files. A file name may hold folders: `reports/2024/a.pdf`.
    #[schema(format = Binary, min_items = 1)]
    pub files: Vec<String>,
}

/// Upload files into a corpus
#[utoipa::path(post, path = "/v1/corpora/{corpus_id}/documents", tag = "documents", operation_id = "upload_documents",
    params(("corpus_id" = String, Path)),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 202, body = Upload), (status = 200, body = Upload),
        (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn upload(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Upload, Refusal> {
    caller.allow(Scope::Write)?;
    let corpus = caller.corpus(&service, &id).await?;
    let arrived = receive(&service, request).await?;
    match <[Arrived; 1]>::try_from(arrived) {
        // Where one file is all there is, its refusal is that of the request.
        Ok([Arrived { outcome: Err(failure), .. }]) => Err(failure.into()),
        Ok(one) => take_in(service, caller, corpus, Vec::from(one)).await,
        Err(arrived) => take_in(service, caller, corpus, arrived).await,
    }
}

async fn receive(service: &Service, request: Request) -> Result<Vec<Arrived>, Refusal> {
    let limits = &service.settings.service;
    let (mut multipart, gate) = open(request, limits.upload_bytes).await?;
    let mut reader = Reader { gate, bytes: 0, until: Instant::now() + PACE };
    let (mut arrived, mut paths) = (Vec::new(), HashSet::new());
    while let Some(mut field) = reader.next(multipart.next_field()).await? {
        if field.name() != Some(PART) {
            let detail = format!("a part has another name than {PART:?}; give every file as such a part");
            return Err(Refusal::new(422, "unknown_part", detail));
        }
        if arrived.len() as u64 >= limits.upload_files {
            let detail = format!(
                "the request has more than upload_files = {} files; send them in several requests",
                limits.upload_files
            );
            return Err(Refusal::new(413, "too_many_files", detail));
        }
        let path = document_path(field.file_name().unwrap_or_default());
        let (bytes, outcome) = if paths.insert(path.clone()) {
            reader.file(service, &mut field, &path).await?
        } else {
            let detail = format!("an earlier file of this request has the path {path:?} already; rename one");
            (reader.skip(&mut field).await?, Err(Failure::new(409, "same_path", detail)))
        };
        arrived.push(Arrived { path, bytes, outcome });
    }
    if arrived.is_empty() {
        let detail = format!("the request holds no file; give each as a part named {PART:?}");
        return Err(Refusal::new(422, "no_files", detail));
    }
    Ok(arrived)
}

/// Errors: 415 and 400 for what is not multipart, 413 for a body that says it is too long.
async fn open(request: Request, limit: u64) -> Result<(Multipart, Arc<Gate>), Refusal> {
    if !is_multipart(request.headers()) {
        let detail = format!("send multipart/form-data, each file as a part named {PART:?}");
        return Err(Refusal::new(415, "not_multipart", detail));
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > limit) {
        return Err(too_long(limit));
    }
    let gate = Arc::new(Gate { limit, total: 0.into(), held: 0.into(), asked: false.into() });
    let (parts, body) = request.into_parts();
    let gated = Gated { body: body.into_data_stream(), gate: gate.clone(), gave: false };
    let mut request = Request::from_parts(parts, Body::from_stream(gated));
    // Counted at the gate.
    DefaultBodyLimit::disable().apply(&mut request);
    match Multipart::from_request(request, &()).await {
        Ok(multipart) => Ok((multipart, gate)),
        Err(rejection) => Err(Refusal::new(400, "bad_multipart", rejection.body_text())),
    }
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

pub fn too_long(limit: u64) -> Refusal {
    let detail = format!(
        "the request has more than upload_bytes = {limit} bytes; send the files in several requests or raise \
         service.upload_bytes in the configuration"
    );
    Refusal::new(413, "too_long", detail)
}

/// Takes the parts one after the other, each in its time.
struct Reader {
    gate: Arc<Gate>,
    /// Since the client was last given time.
    bytes: u64,
    until: Instant,
}

impl Reader {
    /// One step of the parser.
    async fn next<T>(&mut self, step: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Refusal> {
        self.gate.asked.store(false, Relaxed);
        self.gate.held.store(0, Relaxed);
        match timeout_at(self.until, step).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(error)) => Err(self.gate.refusal(&error)),
            Err(_) => {
                let detail = format!("fewer than {PACE_BYTES} bytes came in {} s", PACE.as_secs());
                Err(Refusal::new(408, "too_slow", detail))
            }
        }
    }

    /// The next bytes of a part; `None` at its end.
    async fn chunk(&mut self, field: &mut Field<'_>) -> Result<Option<Bytes>, Refusal> {
        let chunk = self.next(field.chunk()).await?;
        self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.bytes >= PACE_BYTES {
            self.give_time();
        }
        Ok(chunk)
    }

    fn give_time(&mut self) {
        self.bytes = 0;
        self.until = Instant::now() + PACE;
    }

    async fn skip(&mut self, field: &mut Field<'_>) -> Result<u64, Refusal> {
        let mut bytes = 0;
        while let Some(chunk) = self.chunk(field).await? {
            bytes += chunk.len() as u64;
        }
        Ok(bytes)
    }

    /// Writes a part to disk, as far as a document may be long; what comes behind is only counted.
    async fn file(
        &mut self,
        service: &Service,
        field: &mut Field<'_>,
        path: &str,
    ) -> Result<(u64, Result<Received, Failure>), Refusal> {
        let (library, limits) = (service.ingest.stores.library.clone(), service.ingest.limits.clone());
        let allowed = limits.input_bytes;
        let (sender, chunks) = mpsc::channel(QUEUE);
        let name = path.to_owned();
        let writer = tokio::task::spawn_blocking(move || write(&library, &limits, &name, chunks));
        let (mut bytes, mut sender) = (0, Some(sender));
        while let Some(chunk) = self.chunk(field).await? {
            bytes += chunk.len() as u64;
            if bytes > allowed {
                sender = None;
            }
            // A writer that has ended has failed, and says why.
            if let Some(open) = &sender
                && open.send(chunk).await.is_err()
            {
                sender = None;
            }
        }
        drop(sender);
        let outcome = writer.await??;
        // The disk's time is not the client's.
        self.give_time();
        // What its beginning tells to be no document is told so however long it is.
        let outcome = match outcome {
            Ok(_) if bytes > allowed => Err(input_too_long(allowed)),
            outcome => outcome,
        };
        Ok((bytes, outcome))
    }
}

/// On a thread of its own: hashing and writing take time.
fn write(
    library: &Library,
    limits: &Limits,
    path: &str,
    mut chunks: mpsc::Receiver<Bytes>,
) -> ingest::Result<Result<Received, Failure>> {
    let mut incoming = library.incoming()?;
    let mut looked = false;
    while let Some(chunk) = chunks.blocking_recv() {
        incoming.write(&chunk)?;
        if !looked && incoming.bytes() >= LOOK_BYTES {
            looked = true;
            // What is no document is not kept to its end.
            if let Err(refused) = look(incoming.path(), path, limits) {
                return Ok(Err(refused));
            }
        }
    }
    Ok(looked_at(incoming.finish(), path, limits))
}

/// Errors: what a first look tells to be no document.
fn looked_at(received: Received, path: &str, limits: &Limits) -> Result<Received, Failure> {
    if received.file.bytes == 0 {
        return Err(Failure::new(422, "empty_file", ExtractError::EmptyFile.to_string()));
    }
    look(received.path(), path, limits).map(|()| received)
}

fn look(at: &std::path::Path, path: &str, limits: &Limits) -> Result<(), Failure> {
    match corpus::extract::look(at, path, limits) {
        Ok(()) => Ok(()),
        Err(error @ ExtractError::UnsupportedType { .. }) => {
            Err(Failure::new(415, error.code(), error.to_string()))
        }
        Err(ExtractError::ParserLimit { .. }) => Err(input_too_long(limits.input_bytes)),
        Err(error) => Err(Failure::new(422, error.code(), error.to_string())),
    }
}

fn input_too_long(allowed: u64) -> Failure {
    Failure::new(413, "input_too_long", ExtractError::limit("input_bytes", allowed).to_string())
}

/// What the body and the reader of its parts tell each other.
struct Gate {
    limit: u64,
    total: AtomicU64,
    /// Bytes given since the parser last gave something out.
    held: AtomicU64,
    /// The parser asked since then: what it holds is not enough.
    asked: AtomicBool,
}

impl Gate {
    fn refusal(&self, error: &MultipartError) -> Refusal {
        if self.total.load(Relaxed) > self.limit {
            return too_long(self.limit);
        }
        if self.held.load(Relaxed) > HEAD_LIMIT {
            let detail = format!("no part begins within {HEAD_LIMIT} bytes");
            return Refusal::new(400, "bad_multipart", detail);
        }
        Refusal::new(400, "bad_multipart", format!("{}; nothing was kept", error.body_text()))
    }
}

/// The body as the parser sees it. The parser takes all it can get before it looks at what it has, without a bound; so it
/// gets one piece at a time, and none until it has looked.
struct Gated {
    body: BodyDataStream,
    gate: Arc<Gate>,
    gave: bool,
}

impl Stream for Gated {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let looks_first = !self.gate.asked.swap(true, Relaxed);
        if mem::take(&mut self.gave) || looks_first {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let bytes = match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => bytes,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        self.gave = true;
        let n = bytes.len() as u64;
        let total = self.gate.total.fetch_add(n, Relaxed) + n;
        let held = self.gate.held.fetch_add(n, Relaxed) + n;
        if total > self.gate.limit || held > HEAD_LIMIT {
            return Poll::Ready(Some(Err(io::Error::other("limit"))));
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}
