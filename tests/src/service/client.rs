//! A client of the service.

use super::{events::Events, reply::Reply};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::{
    Agent,
    http::{Request, Response},
};

/// Longer than any request of these tests takes; whoever waits longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between the parts of an upload.
pub const BOUNDARY: &str = "thisstandsinnofileofthesetests";

/// A question whose answer takes as long as its number of tokens: so hot, the model draws words at random and hardly
/// ever draws the end.
pub fn babble(question: &str, tokens: u64) -> Value {
    json!({ "question": question, "mode": "free", "temperature": 3, "seed": 7, "max_output_tokens": tokens })
}

/// Cheap to clone. Steps that a test takes for granted (`create`, `add`, `ask`, …) fail it when they do not succeed.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    /// `127.0.0.1:PORT`
    pub address: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(address: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Self { agent: config.build().into(), address: address.to_owned(), headers: Vec::new() }
    }

    /// Sends this header with everything.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        more.headers.push((name.to_owned(), value.to_owned()));
        more
    }

    pub fn with_key(&self, secret: &str) -> Self {
        self.with("authorization", &format!("Bearer {secret}"))
    }

    /// `content`: media type and body.
    fn request(
        &self,
        method: &str,
        path: &str,
        content: Option<(&str, &[u8])>,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match content {
            None => self.agent.run(request.body(()).unwrap()),
            Some((media_type, body)) => {
                self.agent.run(request.header("content-type", media_type).body(body).unwrap())
            }
        }
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, content: Option<(&str, &[u8])>) -> Reply {
        let response = self.request(method, path, content).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let (parts, mut body) = response.into_parts();
        let body = body.read_to_vec().unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(("application/json", body.to_string().as_bytes())))
    }

    #[track_caller]
    pub fn upload(&self, corpus: &str, files: &[(&str, &[u8])]) -> Reply {
        self.send_upload(corpus, BOUNDARY, &multipart(files))
    }

    #[track_caller]
    pub fn send_upload(&self, corpus: &str, boundary: &str, body: &[u8]) -> Reply {
        let media_type = format!("multipart/form-data; boundary={boundary}");
        self.send("POST", &documents(corpus), Some((&media_type, body)))
    }

    /// Makes a corpus and gives its id.
    #[track_caller]
    pub fn create(&self, name: &str) -> String {
        self.post("/v1/corpora", &json!({ "name": name })).created()
    }

    /// Uploads files, waits until they are read, and gives the ids of their documents.
    #[track_caller]
    pub fn add(&self, corpus: &str, files: &[(&str, &[u8])]) -> Vec<String> {
        let upload = self.upload(corpus, files).ok();
        let job = self.wait_for(upload["job_id"].as_str().unwrap_or_else(|| panic!("{upload:#}")));
        assert_eq!(job["state"], "succeeded", "{job:#}");
        let results = upload["results"].as_array().unwrap().iter();
        results.map(|result| result["document_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Follows a job to its end.
    #[track_caller]
    pub fn wait_for(&self, job: &str) -> Value {
        let last = self.listen(&format!("/v1/jobs/{job}/events")).last().expect("a job has events");
        assert_eq!(last.kind, "job.finished", "{last:?}");
        last.data
    }

    #[track_caller]
    pub fn ask(&self, corpus: &str, question: &str) -> Value {
        self.post(&answers(corpus), &json!({ "question": question })).ok()
    }

    /// Puts a question in the line and gives the id of its answer.
    #[track_caller]
    pub fn ask_later(&self, corpus: &str, question: &Value) -> String {
        let reply = self.with("prefer", "respond-async").post(&answers(corpus), question);
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.ok()["id"].as_str().unwrap().to_owned()
    }

    /// Asks with `stream`.
    #[track_caller]
    pub fn stream(&self, corpus: &str, question: &Value) -> Events {
        let mut question = question.clone();
        question["stream"] = true.into();
        let body = question.to_string();
        let content = Some(("application/json", body.as_bytes()));
        Events::of(self.request("POST", &answers(corpus), content).unwrap())
    }

    #[track_caller]
    pub fn listen(&self, path: &str) -> Events {
        Events::of(self.request("GET", path, None).unwrap())
    }
}

pub fn answers(corpus: &str) -> String {
    format!("/v1/corpora/{corpus}/answers")
}

pub fn documents(corpus: &str) -> String {
    format!("/v1/corpora/{corpus}/documents")
}

/// A `multipart/form-data` body with parts named `files`. Names go between the quotation marks as they are.
pub fn multipart(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// An answer as it is kept: passages near a question that was not answered are told once.
pub fn kept(answer: &Value) -> Value {
    let mut kept = answer.clone();
    kept["related"] = json!([]);
    kept
}
