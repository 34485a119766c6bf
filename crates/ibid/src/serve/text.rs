//! `/v1/documents/{id}/text`: a stretch of the canonical text. Offsets are code points; UTF-16 units (JavaScript) and
//! bytes of UTF-8 on request.

use super::{
    caller::Caller,
    documents::{shown, stored_text},
    extract::{Path, Query},
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use axum::{Json, extract::State};
use catalog::Scope;
use corpus::tokens::CharIndex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Most units of one reply.
const LIMIT: u64 = 1_000_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TextQuery {
    /// First unit; 0 if not given.
    #[param(format = "uint64", maximum = 18_446_744_073_709_551_615_u64)]
    pub start: Option<u64>,
    /// Behind the last unit; the end of the text if not given or beyond it. At most 1,000,000 units at once.
    #[param(format = "uint64", maximum = 18_446_744_073_709_551_615_u64)]
    pub end: Option<u64>,
    /// `code_point` (if not given), `utf16` or `utf8`
    pub offsets: Option<OffsetUnit>,
}

/// What `start`, `end` and `total` count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetUnit {
    #[default]
    CodePoint,
    Utf16,
    Utf8,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TextStretch {
    /// `text`
    pub object: &'static str,
    pub document_id: String,
    pub offsets: OffsetUnit,
    pub start: u64,
    pub end: u64,
    /// Units of the whole text.
    pub total: u64,
    pub text: String,
}

/// Show a stretch of a document's canonical text
#[utoipa::path(get, path = "/v1/documents/{document_id}/text", tag = "documents", operation_id = "show_text",
    params(("document_id" = String, Path), TextQuery),
    responses((status = 200, body = TextStretch), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn text(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<TextQuery>,
) -> Result<Json<TextStretch>, Refusal> {
    caller.allow(Scope::Read)?;
    let document = shown(&service, &caller, &id).await?;
    let stored = stored_text(&document)?;
    let _permit = service.reading.acquire().await?;
    let library = service.ingest.stores.library.clone();
    let stretch = tokio::task::spawn_blocking(move || -> Result<TextStretch, Refusal> {
        let whole = library.canonical_text(&stored)?;
        stretch(&whole, document.id.to_string(), &query)
    });
    Ok(Json(stretch.await??))
}

/// Errors: 422 for offsets that name no place of the text, 413 for more than [`LIMIT`] units.
fn stretch(whole: &str, document_id: String, query: &TextQuery) -> Result<TextStretch, Refusal> {
    let unit = query.offsets.unwrap_or_default();
    let index = CharIndex::new(whole);
    let total = unit.before(&index, whole.len() as u64);
    let start = query.start.unwrap_or(0);
    let end = query.end.unwrap_or(total).min(total);
    if start > end {
        let detail = format!("start = {start} lies behind end = {end}; the text has {total} units");
        return Err(Refusal::new(422, "bad_offsets", detail));
    }
    if end - start > LIMIT {
        let detail = format!(
            "{} units were asked for, at most {LIMIT} are given at once; of {total}, name a stretch by start and end",
            end - start
        );
        return Err(Refusal::new(413, "too_long", detail));
    }
    let place = |at: u64| unit.place(&index, whole, at).ok_or_else(|| inside(at));
    let text = whole.get(place(start)?..place(end)?).unwrap_or_default().to_owned();
    Ok(TextStretch { object: "text", document_id, offsets: unit, start, end, total, text })
}

fn inside(at: u64) -> Refusal {
    Refusal::new(422, "bad_offsets", format!("{at} lies inside a character; name one of its ends"))
}

impl OffsetUnit {
    /// Units before a byte.
    fn before(self, index: &CharIndex<'_>, byte: u64) -> u64 {
        match self {
            Self::CodePoint => index.chars_before(byte),
            Self::Utf16 => index.utf16_before(byte),
            Self::Utf8 => byte,
        }
    }

    /// The byte that has `at` units before it; `None` inside a character.
    fn place(self, index: &CharIndex<'_>, text: &str, at: u64) -> Option<usize> {
        let byte = match self {
            Self::CodePoint => index.byte_of_char(at),
            Self::Utf16 => index.byte_of_utf16(at),
            Self::Utf8 => at,
        };
        let place = usize::try_from(byte).ok()?;
        (text.is_char_boundary(place) && self.before(index, byte) == at).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "aé€😀z";

    fn cut(
        unit: OffsetUnit,
        start: Option<u64>,
        end: Option<u64>,
    ) -> Result<(String, u64, u64), (u16, String)> {
        let query = TextQuery { start, end, offsets: Some(unit) };
        match stretch(TEXT, "doc_1".into(), &query) {
            Ok(stretch) => Ok((stretch.text, stretch.end, stretch.total)),
            Err(refusal) => Err((refusal.status(), refusal.code().to_owned())),
        }
    }

    #[test]
    fn the_same_stretch_in_three_units() {
        for (unit, start, end, total) in
            [(OffsetUnit::CodePoint, 2, 4, 5), (OffsetUnit::Utf16, 2, 5, 6), (OffsetUnit::Utf8, 3, 10, 11)]
        {
            assert_eq!(cut(unit, Some(start), Some(end)), Ok(("€😀".to_owned(), end, total)), "{unit:?}");
            assert_eq!(cut(unit, None, None), Ok((TEXT.to_owned(), total, total)), "{unit:?}");
            assert_eq!(cut(unit, Some(total), Some(u64::MAX)), Ok((String::new(), total, total)), "{unit:?}");
        }
    }

    #[test]
    fn offsets_that_name_no_place_are_refused() {
        let bad = Err((422, "bad_offsets".to_owned()));
        assert_eq!(cut(OffsetUnit::Utf16, Some(4), None), bad, "between surrogates");
        assert_eq!(cut(OffsetUnit::Utf8, Some(2), None), bad, "inside é");
        assert_eq!(cut(OffsetUnit::Utf8, None, Some(7)), bad, "inside 😀");
        assert_eq!(cut(OffsetUnit::CodePoint, Some(6), None), bad);
        assert_eq!(cut(OffsetUnit::CodePoint, Some(3), Some(2)), bad);
        assert_eq!(cut(OffsetUnit::CodePoint, Some(u64::MAX), Some(u64::MAX)), bad);
    }

    #[test]
    fn long_stretches_have_to_be_asked_for_in_pieces() {
        let long = "a".repeat(LIMIT as usize + 1);
        let whole = stretch(&long, String::new(), &TextQuery::default());
        assert_eq!(whole.map_err(|refusal| refusal.status()).err(), Some(413));
        let piece = TextQuery { start: Some(1), ..TextQuery::default() };
        assert!(stretch(&long, String::new(), &piece).is_ok_and(|piece| piece.text.len() as u64 == LIMIT));
    }
}
