//! Catalog rows and answers as the JSON objects of the REST interface.

use answer::Answer;
use catalog::{Corpus, CorpusCounts, CorpusStorage, Document, Freed, Job};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// RFC 3339 in UTC; null for a time outside the calendar.
pub fn time(unix_ms: u64) -> Value {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .map_or(Value::Null, Value::String)
}

pub fn list(data: Vec<Value>) -> Value {
    let id = |object: Option<&Value>| object.and_then(|o| o.get("id")).cloned().unwrap_or_default();
    let (first_id, last_id) = (id(data.first()), id(data.last()));
    json!({ "object": "list", "data": data, "first_id": first_id, "last_id": last_id, "has_more": false })
}

pub fn corpus(corpus: &Corpus, counts: &CorpusCounts, storage: &CorpusStorage) -> Value {
    let model = corpus.model.as_ref().map(
        |model| json!({ "id": model.name, "fingerprint": model.fingerprint, "kv_dtype": model.kv_dtype }),
    );
    json!({
        "object": "corpus", "id": corpus.id.as_str(), "name": corpus.name,
        "state": if corpus.version == 0 { "empty" } else { "ready" },
        "version": corpus.version, "model": model,
        "counts": {
            "documents": counts.documents, "ready": counts.ready, "failed": counts.failed, "pages": counts.pages,
            "characters": counts.characters, "tokens": counts.tokens,
        },
        "storage": {
            "source_bytes": storage.source_bytes, "text_bytes": storage.text_bytes, "kv_bytes": storage.kv_bytes,
        },
        "metadata": corpus.metadata,
        "created_at": time(corpus.created_ms), "updated_at": time(corpus.updated_ms),
    })
}

pub fn document(document: &Document) -> Value {
    let version = &document.version;
    json!({
        "object": "document", "id": document.id.as_str(), "file_id": version.file.id.as_str(),
        "path": document.path, "title": version.title, "media_type": version.media_type,
        "sha256": version.file.sha256.to_string(), "bytes": version.file.bytes, "state": version.state,
        "version": version.number, "pages": version.pages, "characters": version.characters,
        "tokens": version.tokens, "text_blake3": version.stored.map(|stored| stored.text.to_string()),
        "warnings": version.warnings, "error": version.error, "created_at": time(document.created_ms),
    })
}

pub fn job(job: &Job) -> Value {
    let progress = &job.progress;
    let eta_s = (progress.rate > 0.0)
        .then(|| (progress.total.saturating_sub(progress.done) as f64 / progress.rate).ceil() as u64);
    json!({
        "object": "job", "id": job.id.as_str(), "kind": job.kind, "state": job.state,
        "corpus_id": job.corpus.as_ref().map(base::Id::as_str),
        "progress": {
            "stage": progress.stage, "done": progress.done, "total": progress.total, "unit": progress.unit,
            "rate": progress.rate, "eta_s": eta_s,
        },
        "error": job.error, "created_at": time(job.created_ms), "heartbeat_at": time(job.heartbeat_ms),
        "finished_at": job.finished_ms.map(time),
    })
}

pub fn answer(answer: &Answer) -> serde_json::Result<Value> {
    let mut object = serde_json::to_value(answer)?;
    object["created_at"] = time(answer.created_ms);
    Ok(object)
}

/// A warning of a document, `{"code", "page", "characters", "detail"}`, in words.
pub fn warning(warning: &Value) -> String {
    let mut text = warning["code"].as_str().unwrap_or("warning").replace('_', " ");
    if let Some(page) = warning["page"].as_u64() {
        text.push_str(&format!(", page {page}"));
    }
    if let Some(characters) = warning["characters"].as_u64() {
        text.push_str(&format!(", {characters} characters"));
    }
    if let Some(detail) = warning["detail"].as_str().filter(|detail| !detail.is_empty()) {
        text.push_str(&format!(": {}", label(detail)));
    }
    text
}

pub fn freed(kind: &str, id: &str, freed: &Freed) -> Value {
    json!({ "object": kind, "id": id, "deleted": true, "freed_bytes": freed.bytes, "freed_files": freed.files.len() })
}

/// A name from documents or folders for one line of a terminal: line ends and tabs are shown too.
pub fn label(name: &str) -> String {
    printable(name).replace('\n', "\\n").replace('\t', "\\t")
}

/// Text from documents for a terminal: control and direction-changing characters are shown, not obeyed.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `1.5 MiB`; below a KiB in bytes.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "bytes" { format!("{n} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_documents_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\tb\n\u{202e}c"), "a\\u{1b}[2J\tb\n\\u{202e}c");
    }

    #[test]
    fn warnings_are_said_in_words() {
        let full =
            json!({"code": "hidden_text", "page": 3, "characters": 212, "detail": "white\u{1b}[0m on white"});
        assert_eq!(warning(&full), "hidden text, page 3, 212 characters: white\\u{1b}[0m on white");
        let bare = json!({"code": "truncated", "page": null, "characters": null, "detail": ""});
        assert_eq!(warning(&bare), "truncated");
    }

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(time(0), json!("1970-01-01T00:00:00Z"));
        assert_eq!(time(u64::MAX), Value::Null);
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536 * 1024), "1.5 MiB");
    }
}
