//! The web page, built into the program. A program that was built without it says so; everything else works.

use super::refusal::Refusal;
use axum::{
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

/// What `npm run build` leaves; empty in a checkout where it has not run.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Page;

/// Nothing from elsewhere, nothing inline, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Said where the page would be.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Ibid</title>\
    <h1>The web page was not built</h1><p>This program was built without it. To have it: install Node.js 20 or newer, run \
    <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, and build the program again.</p>\
    <p>The REST interface works: <a href=\"/v1/openapi.json\">/v1/openapi.json</a>.</p></html>";

/// The page for `/`, its parts by their names, a problem for everything else.
pub async fn serve(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("v1/") || !matches!(method, Method::GET | Method::HEAD) {
        return Refusal::new(404, "not_found", format!("there is no {method} {}", uri.path()))
            .into_response();
    }
    let name = if path.is_empty() { "index.html" } else { path };
    match Page::get(name) {
        Some(file) => {
            let mut response = file.data.into_owned().into_response();
            let headers = response.headers_mut();
            if let Ok(kind) = HeaderValue::from_str(media_type(name)) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            // Names of assets hold a digest of what is in them.
            let cache =
                if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            response
        }
        None if name == "index.html" => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_SECURITY_POLICY, POLICY),
            ];
            (StatusCode::OK, headers, NOT_BUILT).into_response()
        }
        None => Refusal::new(404, "not_found", format!("there is no {}", uri.path())).into_response(),
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
