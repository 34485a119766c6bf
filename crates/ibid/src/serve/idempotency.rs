//! `Idempotency-Key`: a POST that is sent again does nothing twice (draft-ietf-httpapi-idempotency-key-header-07). The
//! reply to the first one is kept for a day and given again.
//!
//! The same request means: same caller's rights, method, path, query, content type, `Prefer` and body. An upload cannot
//! be hashed before it is carried out, for it is never held in memory: there its length stands for its bytes, and a
//! length has to be given. An upload of other files of the very same length under a used key is taken for the first.

use super::{
    caller::Caller,
    extract::{BODY_TIME, too_long, too_slow},
    guard::same_request,
    refusal::Refusal,
    service::Service,
};
use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use base::{Id, IdKind};
use catalog::{About, Begun, Digest, Reply};
use serde_json::{Map, Value};
use std::sync::Arc;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
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

/// Errors: 401 for an unknown caller, 411, 413 and 422 for what cannot be carried out once.
async fn read(service: &Service, request: Request) -> Result<(Keyed, Request), Refusal> {
    let key = checked_key(request.headers())?;
    let caller = Caller::identify(service, request.headers()).await?;
    let (parts, body) = request.into_parts();
    let upload = media_type(&parts.headers).starts_with("multipart/");
    let (stated, body) = if upload {
        let Some(length) = parts.headers.get(CONTENT_LENGTH) else {
            let detail = "an upload with an Idempotency-Key needs a Content-Length";
            return Err(Refusal::new(411, "length_required", detail));
        };
        (length.as_bytes().to_vec(), body)
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
    read.await.map_err(|_| too_slow())?.map_err(|error| {
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

/// `stated`: the body, or what stands for it. A caller with other rights asks something else: what one key was told
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
        Begun::Replay(reply) => return Ok(replayed(reply)),
        Begun::Running => {
            let detail =
                "the request with this Idempotency-Key is being carried out; send it again in a moment";
            let mut refusal = Refusal::new(409, "in_progress", detail);
            refusal.retry_after_s = Some(1);
            return Err(refusal);
        }
        Begun::OtherBody => {
            let detail = "this Idempotency-Key was used for another request; make a new one for each";
            return Err(Refusal::new(422, "idempotency_key_reused", detail));
        }
        Begun::New => {}
    }
    let kept = match tokio::spawn(same_request(next.run(request))).await {
        Ok(response) => keep(keyed, response).await,
        Err(_) => Err(Refusal::new(500, "internal", "a handler stopped unexpectedly").into_response()),
    };
    let (response, noted) = match kept {
        Ok((response, reply, about)) => {
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

/// The reply as it is kept; `Err`: the response, of which nothing is to be kept. Streams can be taken up elsewhere, and
/// what failed here or for want of room may go well the next time.
async fn keep(keyed: &Keyed, response: Response) -> Result<(Response, Reply, About), Response> {
    let status = response.status();
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
    let reply = Reply { status: status.as_u16(), headers: Value::Object(headers), body: bytes.to_vec() };
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

fn replayed(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(reply.body)).into_response();
    for (name, value) in reply.headers.as_object().into_iter().flatten() {
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
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
    use serde_json::json;

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
