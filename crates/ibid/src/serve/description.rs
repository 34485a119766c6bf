//! What the handlers leave unsaid in the OpenAPI description: how a caller shows who it is, that a parameter is left out
//! but never null, that failures inside look like refusals, and what the events of a stream look like.

use super::caller::COOKIE;
use utoipa::{
    ToSchema,
    openapi::{
        OpenApi, PathItem, RefOr, Schema,
        path::{Operation, Parameter},
        schema::{SchemaType, Type},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

const REFUSED: &str = "4XX";
const FAILED: &str = "5XX";

pub fn complete(mut description: OpenApi) -> OpenApi {
    let components = description.components.get_or_insert_default();
    let header = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("bearer", header);
    let other = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
    components.add_security_scheme("api_key", other);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    components.add_security_scheme("session", cookie);
    let one_of = ["bearer", "api_key", "session"].map(|name| SecurityRequirement::new(name, [""; 0]));
    description.security = Some(one_of.to_vec());
    for operation in description.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                left_out_instead_of_null(parameter);
            }
        }
        let responses = &mut operation.responses.responses;
        if let Some(refused) = responses.get(REFUSED).cloned() {
            responses.insert(FAILED.into(), refused);
        }
        for (status, response) in responses.iter_mut() {
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                response.description = in_words(status).to_owned();
            }
        }
    }
    description
}

/// A response has to have a description.
fn in_words(status: &str) -> &'static str {
    match status {
        REFUSED => "Refused; `code` says why",
        FAILED => "Failed inside, out of space, or not ready",
        "202" => "Accepted; `Location` says where to look for it",
        _ => "Done",
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.post, &mut path.delete].into_iter().flatten()
}

fn left_out_instead_of_null(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    if let SchemaType::Array(types) = &mut schema.schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [one] = types.as_slice() {
            schema.schema_type = SchemaType::Type(one.clone());
        }
    }
}

/// An event of an answer (HTML Living Standard, 9.2).
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes events, which are written as text")]
pub struct AnswerStreamEvent {
    /// Its number from 0; what `Last-Event-ID` takes.
    #[schema(pattern = "^[0-9]+$")]
    pub id: String,
    #[schema(inline)]
    pub event: AnswerEventName,
    /// JSON: the whole answer with `answer.completed`, a problem with `error`.
    #[schema(content_media_type = "application/json")]
    pub data: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "describes events, which are written as text")]
pub enum AnswerEventName {
    #[schema(rename = "answer.created")]
    Created,
    #[schema(rename = "corpus.loading")]
    Loading,
    #[schema(rename = "text.delta")]
    Text,
    #[schema(rename = "citation.added")]
    Cited,
    #[schema(rename = "citation.verified")]
    Verified,
    #[schema(rename = "answer.completed")]
    Completed,
    #[schema(rename = "error")]
    Error,
}

/// An event of a job.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes events, which are written as text")]
pub struct JobStreamEvent {
    #[schema(inline)]
    pub event: JobEventName,
    /// JSON: the job, a problem with `error`.
    #[schema(content_media_type = "application/json")]
    pub data: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "describes events, which are written as text")]
pub enum JobEventName {
    #[schema(rename = "job.progress")]
    Progress,
    #[schema(rename = "job.finished")]
    Finished,
    #[schema(rename = "error")]
    Error,
}

/// An event of a chat.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes events, which are written as text")]
pub struct ChatStreamEvent {
    /// JSON of a `chat.completion.chunk`, or `[DONE]`.
    pub data: String,
}

#[cfg(test)]
mod tests {
    use crate::serve::router;
    use serde_json::Value;

    /// The operations of the description, each with its place.
    fn operations() -> Vec<(String, Value)> {
        let description = serde_json::to_value(router::description()).unwrap();
        let paths = description["paths"].as_object().unwrap().clone();
        let of_path = |(path, methods): (String, Value)| {
            let methods = methods.as_object().unwrap().clone();
            methods.into_iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    #[test]
    fn every_operation_is_described_to_its_end() {
        for (place, operation) in operations() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(!parameter["schema"].to_string().contains("null"), "{place}: {parameter}");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert_eq!(responses.contains_key("4XX"), responses.contains_key("5XX"), "{place}");
            for (status, response) in responses {
                assert!(response["description"].as_str().is_some_and(|d| !d.is_empty()), "{place} {status}");
            }
        }
    }

    #[test]
    fn what_needs_no_key_is_little() {
        let open = |(place, operation): (String, Value)| (!operation["security"].is_null()).then_some(place);
        let open: Vec<String> = operations().into_iter().filter_map(open).collect();
        let expected =
            ["get /healthz", "get /metrics", "get /readyz", "delete /v1/session", "post /v1/session"];
        assert_eq!(open, expected);
    }
}
