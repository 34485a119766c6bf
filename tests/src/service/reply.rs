//! A reply, and what it has to look like.

use serde_json::{Value, json};
use ureq::http::HeaderMap;

/// A reply, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The object of a request that succeeded.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self.json()
    }

    /// The id of what was made, which is where `Location` says.
    #[track_caller]
    pub fn created(&self) -> String {
        let object = self.ok();
        let id = object["id"].as_str().unwrap().to_owned();
        assert_eq!(self.status, 201, "{object:#}");
        assert!(self.header("location").ends_with(&format!("/{id}")), "{self:?}");
        id
    }

    /// A header's value; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The request was refused with a problem object of RFC 9457; gives its words.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem:#}");
        assert_eq!(problem["type"], "about:blank", "{problem:#}");
        assert!(!problem["title"].as_str().unwrap().is_empty(), "{problem:#}");
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem:#}");
        problem["detail"].as_str().filter(|detail| !detail.is_empty()).expect("words").to_owned()
    }
}
