//! `/v1/documents/{id}/pages` and `…/pages/{n}.png`: page marks, and pictures of the pages of a PDF.

use super::{
    caller::Caller,
    documents::{shown, stored_text},
    extract::{Path, Query},
    listing::{Order, PageQuery},
    refusal::{ProblemObject, Refusal},
    service::Service,
};
use crate::{problem::Failure, rest::List};
use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};
use catalog::{BlobKind, Scope};
use corpus::{ExtractError, tokens::CharIndex};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

const PDF: &str = "application/pdf";
const DEFAULT_SCALE: u32 = 2;

#[derive(Debug, Serialize, ToSchema)]
pub struct PageInfo {
    /// From 1; also what `after` and `before` take.
    pub page: u32,
    /// The label printed in the document, where it names one.
    #[schema(required)]
    pub label: Option<String>,
    /// In points; 0 where unknown.
    pub width: f32,
    pub height: f32,
    /// Code points of the canonical text.
    pub start_char: u64,
    pub end_char: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImageQuery {
    /// Pixels per point
    #[param(minimum = 1, maximum = 4, default = 2)]
    pub scale: Option<u32>,
}

/// List the pages of a document
///
/// Empty for formats without pages.
#[utoipa::path(get, path = "/v1/documents/{document_id}/pages", tag = "documents", operation_id = "list_pages",
    params(("document_id" = String, Path), PageQuery),
    responses((status = 200, body = List<PageInfo>), (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<PageInfo>>, Refusal> {
    caller.allow(Scope::Read)?;
    let document = shown(&service, &caller, &id).await?;
    let stored = stored_text(&document)?;
    let _permit = service.reading.acquire().await?;
    let library = service.ingest.stores.library.clone();
    let pages = tokio::task::spawn_blocking(move || -> Result<Vec<PageInfo>, Refusal> {
        let marks = library.pages(&stored)?;
        let text = library.canonical_text(&stored)?;
        let index = CharIndex::new(&text);
        let page = |mark: &corpus::PageMark| {
            let chars = index.char_span(mark.bytes);
            PageInfo {
                page: mark.index,
                label: mark.label.clone(),
                width: mark.width,
                height: mark.height,
                start_char: chars.start,
                end_char: chars.end,
            }
        };
        Ok(marks.iter().map(page).collect())
    });
    Ok(Json(cut(pages.await??, query)?))
}

/// Errors: 404 for a cursor that names no page.
fn cut(mut pages: Vec<PageInfo>, query: PageQuery) -> Result<List<PageInfo>, Refusal> {
    let page = query.page(Order::Asc)?;
    for cursor in page.after.iter().chain(&page.before) {
        if !pages.iter().any(|page| page.page.to_string() == *cursor) {
            return Err(Refusal::not_found("page", cursor));
        }
    }
    if page.descending {
        pages.reverse();
    }
    let place = |cursor: &str| pages.iter().position(|page| page.page.to_string() == cursor);
    let start = page.after.as_deref().and_then(place).map_or(0, |at| at + 1);
    let end = page.before.as_deref().and_then(place).unwrap_or(pages.len()).max(start);
    let (limit, left) = (page.limit as usize, end - start);
    // In front of a cursor, the pages nearest to it are wanted.
    let backwards = page.before.is_some() && page.after.is_none();
    let start = if backwards { end - left.min(limit) } else { start };
    let data: Vec<PageInfo> = pages.drain(start..end).take(limit).collect();
    let id = |at: Option<&PageInfo>| at.map(|page| page.page.to_string());
    Ok(List {
        object: "list",
        first_id: id(data.first()),
        last_id: id(data.last()),
        data,
        has_more: left > limit,
    })
}

/// Show a page of a PDF as a picture
#[utoipa::path(get, path = "/v1/documents/{document_id}/pages/{image}", tag = "documents", operation_id = "show_page",
    params(("document_id" = String, Path), ("image" = String, Path, description = "page number from 1, and `.png`", pattern = "^[1-9][0-9]{0,8}\\.png$"), ImageQuery),
    responses((status = 200, body = String, content_type = "image/png"), (status = 304, description = "unchanged"),
        (status = "4XX", body = ProblemObject, content_type = "application/problem+json")))]
pub async fn image(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path((id, image)): Path<(String, String)>,
    Query(query): Query<ImageQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.allow(Scope::Read)?;
    let document = shown(&service, &caller, &id).await?;
    let page = page_number(&image)?;
    if document.version.media_type != PDF {
        let media_type = document.version.media_type.clone();
        return Err(refused(ExtractError::NotPaged { media_type }));
    }
    let scale = query.scale.unwrap_or(DEFAULT_SCALE);
    let sha256 = document.version.file.sha256;
    let etag = format!("\"{sha256}-{page}-{scale}\"");
    // A browser may keep the picture, but asks every time: a document that was deleted is not shown any more.
    let told = [(ETAG, etag.clone()), (CACHE_CONTROL, "private, no-cache".to_owned())];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    let busy = || Refusal::busy("painting_busy", "many pages are being painted; ask again in a moment", 2);
    let _in_line = service.painters.try_acquire().map_err(|_| busy())?;
    let _permit = service.painting.acquire().await?;
    let path = service.ingest.stores.library.path(BlobKind::Original, sha256);
    let (worker, limits) = (service.ingest.worker.clone(), service.ingest.limits.clone());
    let painted = tokio::task::spawn_blocking(move || worker.render_page(&path, page, scale, &limits));
    let png = painted.await?.map_err(refused)?.png;
    Ok((told, [(CONTENT_TYPE, "image/png")], png).into_response())
}

/// Errors: 404 for what is not a page number and `.png`.
fn page_number(image: &str) -> Result<u32, Refusal> {
    let digits = image.strip_suffix(".png").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let page = digits.and_then(|digits| digits.parse().ok()).filter(|page| *page > 0);
    page.ok_or_else(|| Refusal::not_found("page", image))
}

fn refused(error: ExtractError) -> Refusal {
    let status = match &error {
        ExtractError::NoSuchPage { .. } => 404,
        ExtractError::NotPaged { .. } | ExtractError::NeedsPassword { .. } => 409,
        ExtractError::Worker { .. } | ExtractError::Unreadable { .. } => 500,
        _ => 422,
    };
    Failure::new(status, error.code(), error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(query: &str) -> Result<(Vec<u32>, bool), String> {
        let page = |page| PageInfo { page, label: None, width: 0.0, height: 0.0, start_char: 0, end_char: 0 };
        let uri: axum::http::Uri = format!("/?{query}").parse().unwrap();
        let query = axum::extract::Query::<PageQuery>::try_from_uri(&uri).unwrap().0;
        let list = cut((1..=5).map(page).collect(), query).map_err(|refusal| refusal.code().to_owned())?;
        Ok((list.data.iter().map(|page| page.page).collect(), list.has_more))
    }

    #[test]
    fn pages_are_listed_like_everything_else() {
        assert_eq!(numbers(""), Ok((vec![1, 2, 3, 4, 5], false)));
        assert_eq!(numbers("limit=2"), Ok((vec![1, 2], true)));
        assert_eq!(numbers("limit=2&after=3"), Ok((vec![4, 5], false)));
        assert_eq!(numbers("limit=2&before=5"), Ok((vec![3, 4], true)));
        assert_eq!(numbers("limit=3&order=desc&after=4"), Ok((vec![3, 2, 1], false)));
        assert_eq!(numbers("after=6"), Err("not_found".into()));
        assert_eq!(numbers("limit=0"), Err("bad_limit".into()));
    }

    #[test]
    fn a_picture_is_named_by_its_page() {
        assert_eq!(page_number("12.png").unwrap(), 12);
        for image in ["0.png", "12", "-1.png", "+1.png", "1.jpg", "99999999999.png", ".png"] {
            assert_eq!(page_number(image).unwrap_err().status(), 404, "{image}");
        }
    }
}
