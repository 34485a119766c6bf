//! Every route of the service, in one place, and the OpenAPI document made from the handlers.

use super::{
    answers, conversations, corpora, description, documents, files, guard, health, idempotency, jobs,
    metrics, models, openai, pages, refusal::Refusal, sample, service::Service, session, text, upload, usage,
    web,
};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::Method,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ibid",
        description = "Answers questions over document sets, with citations that point at exact characters (code points of the canonical text)."
    ),
    tags(
        (name = "corpora"), (name = "documents"), (name = "answers"), (name = "conversations"), (name = "jobs"),
        (name = "models"), (name = "service"), (name = "openai")
    )
)]
struct Description;

pub fn router(service: Arc<Service>) -> Router {
    let (api, description) = described();
    let limit = service.settings.service.request_bytes as usize;
    let description = Arc::new(description);
    let document = move || async move { Json((*description).clone()) };
    api.route("/v1/openapi.json", get(document))
        .fallback(web::serve)
        .method_not_allowed_fallback(async |method: Method| {
            Refusal::new(405, "method_not_allowed", format!("{method} does not go here"))
        })
        .layer(DefaultBodyLimit::max(limit))
        .layer(from_fn_with_state(service.clone(), idempotency::idempotent))
        .layer(from_fn_with_state(service.clone(), guard::guard))
        .layer(from_fn(guard::catch_panics))
        .with_state(service)
}

/// The description alone, for the snapshot and the client's types.
pub fn description() -> utoipa::openapi::OpenApi {
    described().1
}

fn described() -> (Router<Arc<Service>>, utoipa::openapi::OpenApi) {
    let (api, description) = api().split_for_parts();
    (api, description::complete(description))
}

fn api() -> OpenApiRouter<Arc<Service>> {
    let uploads = OpenApiRouter::new().routes(routes!(upload::upload)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(corpora::list, corpora::create))
        .routes(routes!(corpora::show, corpora::delete))
        .routes(routes!(sample::sample))
        .routes(routes!(documents::of_corpus))
        .merge(uploads)
        .routes(routes!(documents::show, documents::delete))
        .routes(routes!(text::text))
        .routes(routes!(pages::list))
        .routes(routes!(pages::image))
        .routes(routes!(files::content))
        .routes(routes!(answers::ask, answers::of_corpus))
        .routes(routes!(answers::show, answers::delete))
        .routes(routes!(answers::events))
        .routes(routes!(answers::cancel))
        .routes(routes!(answers::replay))
        .routes(routes!(conversations::list, conversations::create))
        .routes(routes!(conversations::show, conversations::delete))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::events))
        .routes(routes!(models::list))
        .routes(routes!(models::plan))
        .routes(routes!(usage::usage))
        .routes(routes!(session::show, session::create, session::delete))
        .routes(routes!(openai::complete))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, fs, path::Path};

    #[test]
    fn the_snapshot_is_what_the_handlers_say() {
        let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let kept = fs::read_to_string(snapshot).unwrap_or_default();
        let now = description().to_pretty_json().unwrap();
        // Not assert_eq!: a hundred kilobytes twice help nobody.
        assert!(
            kept.trim_end() == now,
            "the handlers describe another interface than crates/ibid/openapi.json holds; `make openapi` renews it and \
             the page's types"
        );
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let description = serde_json::to_value(description()).unwrap();
        let mut seen = HashSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap_or_default();
                assert!(!id.is_empty() && seen.insert(id.to_owned()), "{method} {path}: {id:?}");
            }
        }
    }
}
