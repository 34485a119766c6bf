//! Schemas of words that other crates own, for the OpenAPI description: what they list is what the catalog stores.

use answer::Mode;
use catalog::{AnswerStatus, JobKind, JobState, Scope, State};
use utoipa::openapi::{
    Array, Object,
    schema::{ArrayBuilder, ObjectBuilder, Type},
};

fn one_of(words: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

pub fn document_state() -> Object {
    one_of(State::WORDS.iter().copied())
}

pub fn answer_status() -> Object {
    one_of(AnswerStatus::WORDS.iter().copied())
}

pub fn answer_mode() -> Object {
    one_of([Mode::Auto, Mode::Quote, Mode::Free].map(Mode::as_str))
}

pub fn job_kind() -> Object {
    one_of(JobKind::WORDS.iter().copied())
}

pub fn job_state() -> Object {
    one_of(JobState::WORDS.iter().copied())
}

pub fn scopes() -> Array {
    ArrayBuilder::new().items(one_of(Scope::WORDS.iter().copied())).build()
}
