//! The document object.

use super::{Reason, described, time};
use catalog::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Document {
    /// `document`
    pub object: &'static str,
    pub id: String,
    pub corpus_id: String,
    pub file_id: String,
    pub path: String,
    pub title: String,
    pub media_type: String,
    pub sha256: String,
    pub bytes: u64,
    #[schema(schema_with = described::document_state)]
    pub state: State,
    /// 1, 2, … with every change of its bytes.
    pub version: u64,
    pub pages: u64,
    pub characters: u64,
    pub tokens: u64,
    #[schema(required)]
    pub text_blake3: Option<String>,
    pub warnings: Vec<Warning>,
    #[schema(required)]
    pub error: Option<Reason>,
    #[schema(required)]
    pub created_at: Option<String>,
    /// The canonical text, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    pub code: String,
    #[schema(required)]
    pub page: Option<u64>,
    #[schema(required)]
    pub characters: Option<u64>,
    #[serde(default)]
    #[schema(required)]
    pub detail: String,
}

pub fn document(document: &catalog::Document) -> Document {
    let version = &document.version;
    Document {
        object: "document",
        id: document.id.to_string(),
        corpus_id: document.corpus.to_string(),
        file_id: version.file.id.to_string(),
        path: document.path.clone(),
        title: version.title.clone(),
        media_type: version.media_type.clone(),
        sha256: version.file.sha256.to_string(),
        bytes: version.file.bytes,
        state: version.state,
        version: version.number,
        pages: version.pages,
        characters: version.characters,
        tokens: version.tokens,
        text_blake3: version.stored.map(|stored| stored.text.to_string()),
        warnings: serde_json::from_value(version.warnings.clone()).unwrap_or_default(),
        error: Reason::of(version.error.as_ref()),
        created_at: time(document.created_ms),
        text: None,
    }
}
