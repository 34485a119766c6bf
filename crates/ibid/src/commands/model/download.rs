//! One file of a stranger's server, streamed to a path of our own: what the server says is never part of a name.

use crate::event::{Meter, Out};
use hf_hub::api::sync::ApiError;
use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};
use ureq::{Agent, config::RedirectAuthHeaders};

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
const COPY_BYTES: usize = 1 << 18;

pub(super) struct Downloader {
    agent: Agent,
    /// Goes to the server alone, not where it redirects to.
    authorization: Option<String>,
}

impl Downloader {
    pub fn new(token: Option<&str>) -> Self {
        let config = Agent::config_builder().redirect_auth_headers(RedirectAuthHeaders::SameHost).build();
        Self { agent: config.into(), authorization: token.map(|token| format!("Bearer {token}")) }
    }

    /// Makes the file at `path` the first `bytes` bytes of `url`, going on behind what it holds already. Returns early
    /// and without an error when the user cancels.
    pub fn download(
        &self,
        url: &str,
        path: &Path,
        bytes: u64,
        mut meter: Meter,
        out: &Out,
    ) -> Result<(), ApiError> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process is fetching it")
            }
        })?;
        let mut pause = PAUSE;
        for n_try in 1.. {
            match self.go_on(url, &mut file, bytes, &mut meter, out) {
                Err(error) if n_try < TRIES && is_worth_another_try(&error) => {}
                ended => return ended,
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        Ok(())
    }

    /// One request for all that is missing.
    fn go_on(
        &self,
        url: &str,
        file: &mut File,
        bytes: u64,
        meter: &mut Meter,
        out: &Out,
    ) -> Result<(), ApiError> {
        if file.metadata()?.len() > bytes {
            file.set_len(0)?;
        }
        let mut at = file.metadata()?.len();
        if at == bytes {
            meter.report(at, bytes);
            return Ok(());
        }
        // Parts are counted in bytes of the file, not of a packed form of it.
        let mut request = self.agent.get(url).header("accept-encoding", "identity");
        if at > 0 {
            request = request.header("range", format!("bytes={at}-"));
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.call().map_err(Box::new)?;
        let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
        if !range.is_some_and(|range| range.starts_with(&format!("bytes {at}-"))) {
            // The server sends from the beginning, as one that knows no ranges does.
            at = 0;
            file.set_len(0)?;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut body = response.into_body().into_reader().take(bytes - at);
        let mut buffer = vec![0; COPY_BYTES];
        while !out.cancel.requested() {
            let read = body.read(&mut buffer)?;
            let part = buffer.get(..read).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            file.write_all(part)?;
            at += part.len() as u64;
            meter.report(at, bytes);
        }
        match at == bytes || out.cancel.requested() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// Broken connections and overloaded servers; not what a repetition finds again.
fn is_worth_another_try(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => status == 429 || status >= 500,
            _ => true,
        },
        ApiError::IoError(error) => !matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied | io::ErrorKind::ResourceBusy
        ),
        _ => false,
    }
}
