//! The local API: the process that owns the data folder runs short commands for others over a Unix socket.
//!
//! `POST /v1/command` takes a [`Request`] and answers with one event per line (NDJSON) until the exit event.

use crate::{
    cli::Command,
    data_folder::DataFolder,
    event::{Cancel, Event, Out},
    owner::Owner,
    problem::{Failure, Problem},
    settings::Settings,
};
use anyhow::{Context, Result};
use axum::{Json, Router, body::Body, extract::State, response::Response, routing::post};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};

/// `sun_path` of a socket address holds 108 bytes with its closing zero (unix(7)).
const SOCKET_PATH_LIMIT: usize = 107;

/// A command with the settings of the place where it was typed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub settings: Settings,
    pub json: bool,
    pub command: Command,
}

#[derive(Clone)]
struct Shared {
    owner: Arc<Owner>,
    all: bool,
    stopping: Cancel,
}

/// A running server; ends with [`Server::finish`].
pub struct Server {
    pub socket: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// The socket lies in the data folder, or in a private folder of the temporary directory when that path is too long.
fn socket_path(data: &DataFolder) -> Result<PathBuf> {
    let near = data.path().join("socket");
    if near.as_os_str().len() <= SOCKET_PATH_LIMIT {
        return Ok(near);
    }
    let name = blake3::hash(data.path().as_os_str().as_encoded_bytes()).to_hex();
    let folder = std::env::temp_dir().join(format!("ibid-{}", &name[..16]));
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(e).with_context(|| format!("cannot make {}", folder.display()))
        }
        _ => Ok(folder.join("socket")),
    }
}

impl Server {
    /// Needs a running tokio runtime, and the lock: whoever holds it may replace a socket left by a dead process.
    /// `all`: also long commands, for the service.
    pub fn start(data: &DataFolder, owner: Arc<Owner>, all: bool, stopping: Cancel) -> Result<Self> {
        let socket = socket_path(data)?;
        let _ = std::fs::remove_file(&socket);
        let cannot = || format!("cannot listen on {}", socket.display());
        let listener = UnixListener::bind(&socket).with_context(cannot)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).with_context(cannot)?;
        let router =
            Router::new().route("/v1/command", post(command)).with_state(Shared { owner, all, stopping });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async {
                    let _ = stopped.await;
                })
                .await
        });
        Ok(Self { socket, stop, task })
    }

    /// Takes no new commands, waits for the running ones.
    pub async fn finish(self) {
        let _ = std::fs::remove_file(&self.socket);
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn command(
    State(Shared { owner, all, stopping }): State<Shared>,
    Json(request): Json<Request>,
) -> Response {
    let (out, listener) = Out::new(request.json);
    let runs = request.command.runs_in_owner() || (all && request.command.runs_in_service());
    if runs && !stopping.requested() {
        tokio::spawn(async move { owner.run(&request.settings, &request.command, &out).await });
    } else {
        let busy =
            Failure::new(423, "busy", "the process that owns the data folder does not run this command");
        out.send(Event::Problem(Problem::from_error(&busy.into())));
        out.send(Event::Exit { code: 1 });
    }
    let lines = UnboundedReceiverStream::new(listener).map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(line)
    });
    Response::builder()
        .header("content-type", "application/x-ndjson")
        .body(Body::from_stream(lines))
        .unwrap_or_default()
}

/// Runs a command in the owner. `Ok(None)`: the owner is gone or going, nothing was run; try to become the owner.
pub async fn forward(socket: &Path, request: &Request, out: &Out) -> Result<Option<()>> {
    let Ok(stream) = UnixStream::connect(socket).await else { return Ok(None) };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(serde_json::to_vec(request)?));
    let post = hyper::Request::post("/v1/command")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(body)?;
    let Ok(response) = sender.send_request(post).await else { return Ok(None) };
    if !response.status().is_success() {
        let detail =
            format!("the process that owns the data folder refused the command ({})", response.status());
        return Err(Failure::new(502, "owner_refused", detail).into());
    }
    let mut body = response.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the process that owns the data folder ended; repeat the command")?;
        pending.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let event: Event = serde_json::from_slice(&line).context("the local API sent something else")?;
            let last = matches!(event, Event::Exit { .. });
            out.send(event);
            if last {
                return Ok(Some(()));
            }
        }
    }
    Err(Failure::new(502, "owner_ended", "the process that owns the data folder ended; repeat the command")
        .into())
}
