//! `Idempotency-Key`: a POST that is sent again does nothing twice (draft-ietf-httpapi-idempotency-key-header-07). The
//! reply to the first one is kept for a day and given again.
//!
//! The same request means: same caller's rights, method, path, query, content type, `Prefer` and body. An upload is never
//! held in memory, so that it is hashed while it is carried out; sent again, it is read to its end and compared. A
//! stream is not kept: the same request listens to the same answer again, from its beginning.

use super::{
    answers::Asked,
    caller::Caller,
    extract::{BODY_TIME, too_long, too_slow},
    guard::same_request,
    refusal::Refusal,
    service::Service,
    upload,
    upload_digest::{UploadDigest, watch},
};
use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use base::{Id, IdKind};
use catalog::{About, Begun, Digest, Reply};
use serde_json::{Map, Value, json};
use std::sync::{Arc, PoisonError};
use tokio_stream::StreamExt;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STREAM: &str = "text/event-stream";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key.
const KEY_LIMIT: usize = 255;
/// Longest reply that is kept.
const REPLY_LIMIT: u64 = 1 << 20;
/// Its reply sets a cookie, and its caller is not known yet; logging in twice harms nobody.
const SESSION: &str = "/v1/session";

/// A request that carries a key, and whose.
struct Keyed {
    owner: String,
    key: String,
    /// Method and path.
    route: String,
    fingerprint: Digest,
    upload: bool,
    /// Its replies repeat an answer, so that one that names none must not be kept.
    answers: bool,
}

/// Wraps every route; anything but a POST with a key passes through.
pub async fn idempotent(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let applies = request.method() == Method::POST && path.starts_with("/v1/") && path != SESSION;
    if !applies || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (keyed, request) = match read(&service, request).await {
        Ok(read) => read,
        Err(refusal) => return refusal.into_response(),
    };
    // A client that leaves, or a handler that panics, must not leave its key running.
    let work = tokio::spawn(same_request(async move {
        match once(&service, &keyed, request, next).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        }
    }));
    let stopped = |_| Refusal::new(500, "internal", "the work stopped unexpectedly").into_response();
    work.await.unwrap_or_else(stopped)
}

/// Errors: 401 for an unknown caller, 413 and 422 for what cannot be carried out once.
async fn read(service: &Service, request: Request) -> Result<(Keyed, Request), Refusal> {
    let key = checked_key(request.headers())?;
    let caller = Caller::identify(service, request.headers()).await?;
    let (parts, body) = request.into_parts();
    let upload = media_type(&parts.headers).starts_with("multipart/");
    let (stated, body) = if upload {
        (Vec::new(), body)
    } else {
        let bytes = whole(body, service.settings.service.request_bytes).await?;
        (bytes.to_vec(), Body::from(bytes))
    };
    let path = parts.uri.path();
    let keyed = Keyed {
        key,
        route: format!("{} {path}", parts.method),
        fingerprint: fingerprint(&caller, &parts, &stated),
        upload,
        answers: path == "/v1/chat/completions"
            || path.starts_with("/v1/answers/")
            || path.ends_with("/answers"),
        owner: caller.owner,
    };
    Ok((keyed, Request::from_parts(parts, body)))
}

/// Errors: 422 for a key that is not 1 to 255 visible ASCII characters, or given twice.
fn checked_key(headers: &HeaderMap) -> Result<String, Refusal> {
    let mut given = headers.get_all(KEY).into_iter();
    let key = given.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let visible = (1..=KEY_LIMIT).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(key) {
        Ok(key) if visible && given.next().is_none() => Ok(key.to_owned()),
        _ => {
            let detail =
                format!("an Idempotency-Key is one header of 1 to {KEY_LIMIT} visible ASCII characters");
            Err(Refusal::new(422, "bad_idempotency_key", detail))
        }
    }
}

async fn whole(body: Body, limit: u64) -> Result<axum::body::Bytes, Refusal> {
    let read = tokio::time::timeout(BODY_TIME, to_bytes(body, usize::try_from(limit).unwrap_or(usize::MAX)));
    read.await.map_err(|_| too_slow(BODY_TIME))?.map_err(|error| {
        if error.into_inner().is::<http_body_util::LengthLimitError>() {
            return too_long(limit);
        }
        Refusal::new(400, "bad_request", "the request ended before its body did")
    })
}

/// Without the boundary of a multipart body, which changes with every attempt.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `stated`: the body, unless it is an upload. A caller with other rights asks something else: what one key was told
/// must not reach another that may see less.
fn fingerprint(caller: &Caller, parts: &Parts, stated: &[u8]) -> Digest {
    let scopes: Vec<&str> = caller.scopes.iter().map(|scope| scope.as_str()).collect();
    let corpora: Option<Vec<&str>> = caller.corpora.as_ref().map(|ids| ids.iter().map(Id::as_str).collect());
    let rights = format!("{scopes:?} {corpora:?}");
    let prefer = parts.headers.get("prefer").map(HeaderValue::as_bytes).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    for field in [
        rights.as_bytes(),
        parts.uri.query().unwrap_or_default().as_bytes(),
        media_type(&parts.headers).as_bytes(),
        prefer,
        stated,
    ] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// Carries the request out, or says what became of it before.
async fn once(
    service: &Arc<Service>,
    keyed: &Keyed,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let catalog = service.catalog();
    match catalog.begin_request(&keyed.owner, &keyed.key, &keyed.route, keyed.fingerprint).await? {
        Begun::Replay(reply) => return again(service, keyed, reply, request, next).await,
        Begun::Running => {
            let detail =
                "the request with this Idempotency-Key is being carried out; send it again in a moment";
            let mut refusal = Refusal::new(409, "in_progress", detail);
            refusal.retry_after_s = Some(1);
            return Err(refusal);
        }
        Begun::OtherBody => return Err(other_request()),
        Begun::New => {}
    }
    let (request, passed) = match UploadDigest::new(request.headers()).filter(|_| keyed.upload) {
        Some(digest) => {
            let (parts, body) = request.into_parts();
            let (body, passed) = watch(body, digest);
            (Request::from_parts(parts, body), Some(passed))
        }
        None => (request, None),
    };
    let kept = match tokio::spawn(same_request(next.run(request))).await {
        Ok(response) => keep(keyed, response).await,
        Err(_) => Err(Refusal::new(500, "internal", "a handler stopped unexpectedly").into_response()),
    };
    let (response, noted) = match kept {
        Ok((response, mut reply, about)) => {
            reply.content =
                passed.and_then(|passed| passed.lock().unwrap_or_else(PoisonError::into_inner).finish());
            (response, catalog.finish_request(&keyed.owner, &keyed.key, &reply, &about).await)
        }
        Err(response) => (response, catalog.forget_request(&keyed.owner, &keyed.key).await),
    };
    if let Err(error) = noted {
        // What was done is done: the client has to hear of it.
        tracing::error!("the reply to an Idempotency-Key is not kept: {error}");
    }
    Ok(response)
}

fn other_request() -> Refusal {
    let detail = "this Idempotency-Key was used for another request; make a new one for each";
    Refusal::new(422, "idempotency_key_reused", detail)
}

/// The first reply, or the stream of the same answer.
///
/// Errors: 422 for an upload of other files.
async fn again(
    service: &Service,
    keyed: &Keyed,
    reply: Reply,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let mut response = match answer_of(&reply) {
        Some(answer) => {
            request.extensions_mut().insert(Asked(answer));
            next.run(request).await
        }
        None if keyed.upload => {
            let held = upload_digest(request, service.settings.service.upload_bytes).await?;
            if held.is_none() || held != reply.content {
                return Err(other_request());
            }
            kept(reply)
        }
        None => kept(reply),
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Reads an upload to its end. Errors: 400, 408 and 413 when it does not come to one.
async fn upload_digest(request: Request, limit: u64) -> Result<Option<Digest>, Refusal> {
    let Some(mut digest) = UploadDigest::new(request.headers()) else { return Ok(None) };
    let (mut pieces, mut bytes) = (request.into_body().into_data_stream(), 0);
    while let Some(piece) =
        tokio::time::timeout(upload::PACE, pieces.next()).await.map_err(|_| too_slow(upload::PACE))?
    {
        let piece =
            piece.map_err(|_| Refusal::new(400, "bad_multipart", "the request ended before its body did"))?;
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(upload::too_long(limit));
        }
        digest.update(&piece);
    }
    Ok(digest.finish())
}

/// The reply as it is kept; `Err`: the response, of which nothing is to be kept. What failed here or for want of room may
/// go well the next time.
async fn keep(keyed: &Keyed, response: Response) -> Result<(Response, Reply, About), Response> {
    let status = response.status();
    if let Some(Asked(answer)) = response.extensions().get().cloned() {
        let headers = json!({ CONTENT_TYPE.as_str(): STREAM });
        let body = answer.as_str().into();
        let reply = Reply { status: status.as_u16(), headers, body, content: None };
        return Ok((response, reply, About { answer: Some(answer), corpus: None }));
    }
    let length = response.body().size_hint().exact();
    let Some(length) = length.filter(|length| *length <= REPLY_LIMIT && worth_keeping(keyed, status)) else {
        return Err(response);
    };
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, length as usize).await else {
        return Err(Refusal::new(500, "internal", "the reply broke off").into_response());
    };
    let mut headers = Map::new();
    for name in [CONTENT_TYPE, LOCATION] {
        if let Some(value) = parts.headers.get(&name).and_then(|value| value.to_str().ok()) {
            headers.insert(name.as_str().to_owned(), value.into());
        }
    }
    let about = about(&bytes);
    let (headers, body) = (Value::Object(headers), bytes.to_vec());
    let reply = Reply { status: status.as_u16(), headers, body, content: None };
    let response = Response::from_parts(parts, Body::from(bytes));
    match about {
        Some(about) if !keyed.answers || !status.is_success() || about.answer.is_some() => {
            Ok((response, reply, about))
        }
        _ => Err(response),
    }
}

fn worth_keeping(keyed: &Keyed, status: StatusCode) -> bool {
    let refused = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    // An upload that broke off is refused too, and has to go well when it is sent whole.
    if keyed.upload { status.is_success() } else { !refused }
}

/// Of a reply that was a stream.
fn answer_of(reply: &Reply) -> Option<Id> {
    let streamed = reply.headers[CONTENT_TYPE.as_str()] == STREAM;
    let id = std::str::from_utf8(&reply.body).ok().filter(|_| streamed)?;
    Id::parse(IdKind::Answer, id).ok()
}

fn kept(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(reply.body)).into_response();
    for (name, value) in reply.headers.as_object().into_iter().flatten() {
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What a JSON reply tells of; `None` when it tells of more than can be noted.
fn about(body: &[u8]) -> Option<About> {
    let mut about = About::default();
    let value = serde_json::from_slice(body).unwrap_or(Value::Null);
    collect(&value, &mut about).then_some(about)
}

fn collect(value: &Value, about: &mut About) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| collect(item, about)),
        Value::Object(fields) => fields.iter().all(|(name, field)| match (name.as_str(), field) {
            ("id" | "answer_id" | "corpus_id", Value::String(text)) => {
                let text = text.strip_prefix("chatcmpl-").unwrap_or(text);
                note(&mut about.answer, IdKind::Answer, text) && note(&mut about.corpus, IdKind::Corpus, text)
            }
            (_, field) => collect(field, about),
        }),
        _ => true,
    }
}

/// `false` when another object of this kind is noted already.
fn note(noted: &mut Option<Id>, kind: IdKind, text: &str) -> bool {
    let Ok(id) = Id::parse(kind, text) else { return true };
    *noted.get_or_insert_with(|| id.clone()) == id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_and_given_once() {
        let key = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            checked_key(&headers).map_err(|refusal| refusal.code().to_owned())
        };
        assert_eq!(key(&["8e03978e-40d5"]), Ok("8e03978e-40d5".into()));
        for bad in [&[""][..], &["a b"], &["ä"], &["a", "a"], &[&"k".repeat(256)]] {
            assert_eq!(key(bad), Err("bad_idempotency_key".into()), "{bad:?}");
        }
    }

    #[test]
    fn a_reply_is_forgotten_with_what_it_tells_of() {
        let (answer, corpus) = (Id::new(IdKind::Answer, 1, 2), Id::new(IdKind::Corpus, 1, 3));
        let told = |value: Value| about(value.to_string().as_bytes());
        let both = About { answer: Some(answer.clone()), corpus: Some(corpus.clone()) };
        let whole = json!({ "id": answer.as_str(), "corpus_id": corpus.as_str() });
        assert_eq!(told(whole.clone()), Some(both.clone()));
        assert_eq!(told(json!({ "object": "replay", "answer": whole.clone() })), Some(both));
        let chat = json!({ "id": format!("chatcmpl-{answer}") });
        assert_eq!(told(chat), Some(About { answer: Some(answer), corpus: None }));
        assert_eq!(told(json!({ "id": "job_1", "question": "ans_1" })), Some(About::default()));
        let other = Id::new(IdKind::Answer, 9, 9);
        assert_eq!(told(json!([whole, { "id": other.as_str() }])), None);
        assert_eq!(about(b"no JSON"), Some(About::default()));
    }

    #[test]
    fn a_boundary_is_no_difference() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("Multipart/Form-Data; boundary=x"));
        assert_eq!(media_type(&headers), "multipart/form-data");
    }
}
