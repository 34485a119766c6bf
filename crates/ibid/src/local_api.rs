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
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
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
    Ok(private_folder(folder)?.join("socket"))
}

/// Makes `folder`, which anybody can foresee in a place where anybody can write: one that is there already is used only
/// when nobody else can get at it, else another one is made. Whoever looks for the socket is told its path.
fn private_folder(folder: PathBuf) -> Result<PathBuf> {
    let cannot = || format!("cannot make {}", folder.display());
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => Ok(folder),
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e).with_context(cannot),
        Err(_) if is_private(&folder) => Ok(folder),
        Err(_) => {
            let only_mine = std::fs::Permissions::from_mode(0o700);
            let near = folder.parent().unwrap_or(Path::new("/"));
            let made = tempfile::Builder::new().prefix("ibid-").permissions(only_mine).tempdir_in(near);
            Ok(made.with_context(cannot)?.keep())
        }
    }
}

fn is_private(folder: &Path) -> bool {
    // Not through a link: its owner could turn it elsewhere.
    std::fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o777 == 0o700
    })
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
        // One made for the socket is empty now; a data folder never is.
        let _ = self.socket.parent().map(std::fs::remove_dir);
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
        tokio::spawn(async move {
            let run = owner.run(&request.settings, &request.command, &out);
            tokio::select! {
                () = run => {}
                // Never ends: the command stops at a safe point and tells so itself.
                () = pass_on(&stopping, &out.cancel) => {}
            }
        });
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

/// Asks a command of another process to stop when this one is asked to.
async fn pass_on(stopping: &Cancel, to: &Cancel) {
    while !stopping.requested() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    to.request();
    std::future::pending().await
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    #[test]
    fn a_folder_that_others_could_have_made_ready_holds_no_socket() {
        let root = tempfile::tempdir().unwrap();
        let expected = root.path().join("ibid-0");
        let folder = || private_folder(expected.clone()).unwrap();
        assert_eq!(folder(), expected);
        assert_eq!(folder(), expected, "one's own is used again");

        let mode = |mode| fs::set_permissions(&expected, Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        let other = folder();
        assert!(other != expected && is_private(&other) && other.parent() == Some(root.path()));
        mode(0o700);
        fs::rename(&expected, root.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.path().join("elsewhere"), &expected).unwrap();
        assert!(folder() != expected, "a link");
        fs::remove_file(&expected).unwrap();
        fs::write(&expected, "").unwrap();
        assert!(folder() != expected, "a file");
    }
}
