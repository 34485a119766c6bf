//! The parent's side: open the file, start the child, bound its time and its reply, name how it ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::wire::{self, Answer, NoReply, Reply, Request, Work};
use crate::extract::{ExtractError, Extracted, Limits, pdf};
use crate::page_image::PageImage;

/// Bytes of the child's standard error that are kept, the last ones.
const STDERR_KEPT: usize = 4 << 10;

/// How to start the child: a program that calls [`super::serve`] when given these arguments.
#[derive(Debug, Clone)]
pub struct Worker {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

impl Worker {
    /// This very program with `--worker parse`.
    pub fn of_this_program() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, args: vec!["--worker".into(), "parse".into()] })
    }

    /// Extracts one file. Blocks until the child replies or is stopped.
    pub fn extract(&self, path: &Path, limits: &Limits) -> Result<Extracted, ExtractError> {
        self.ask(Work::Text, path, limits, Wall { limit: "wall_ms", ms: limits.wall_ms })
    }

    /// Paints page `index` (from 1) of a PDF at `scale` pixels per point (from 1 to `render_scale`; a page too large
    /// for the limits gets fewer). Blocks until the child replies or is stopped.
    pub fn render_page(
        &self,
        path: &Path,
        index: u32,
        scale: u32,
        limits: &Limits,
    ) -> Result<PageImage, ExtractError> {
        let wall = if limits.render_ms < limits.wall_ms {
            Wall { limit: "render_ms", ms: limits.render_ms }
        } else {
            Wall { limit: "wall_ms", ms: limits.wall_ms }
        };
        self.ask(Work::Page { index, scale }, path, limits, wall)
    }

    fn ask<T: Answer>(&self, work: Work, path: &Path, limits: &Limits, wall: Wall) -> Reply<T> {
        let file = open(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let request = Request { work, name, limits: limits.clone() };
        let request = serde_json::to_string(&request).map_err(unusable)?;
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .env(wire::VARIABLE, request)
            .env(pdf::UNPACK_VARIABLE, pdf::unpack_mebibytes(limits))
            .stdin(Stdio::from(file))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| unusable(format!("{}: {error}", self.program.display())))?;
        let ended = wait(&mut child, limits, wall);
        // The child is never left behind, whatever was read from it.
        let _ = child.kill();
        let status = child.wait();
        let (reply, waited, stderr) = ended?;
        match reply {
            Ok(reply) => reply,
            Err(NoReply::TooLong) => Err(ExtractError::limit("reply_bytes", limits.reply_bytes)),
            Err(NoReply::Invalid(reason)) => Err(ExtractError::ParserCrashed { reason }),
            Err(NoReply::Missing) if !waited => Err(ExtractError::limit(wall.limit, wall.ms)),
            Err(NoReply::Missing) => Err(explain(status.ok(), &stderr, limits)),
        }
    }
}

/// How long the parent waits, and the limit that says so.
#[derive(Debug, Clone, Copy)]
struct Wall {
    limit: &'static str,
    ms: u64,
}

/// Opens a regular file; a pipe or device is refused without waiting on it.
fn open(path: &Path) -> Result<File, ExtractError> {
    let unreadable = |detail: String| ExtractError::Unreadable { path: path.display().to_string(), detail };
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    let file = options.open(path).map_err(|error| unreadable(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("not a regular file".into()));
    }
    if metadata.len() == 0 {
        return Err(ExtractError::EmptyFile);
    }
    Ok(file)
}

type Ended<T> = (Result<Reply<T>, NoReply>, bool, String);

/// Reads reply and standard error on threads; the flag says that the child ended by itself within the time.
fn wait<T: Answer>(child: &mut Child, limits: &Limits, wall: Wall) -> Result<Ended<T>, ExtractError> {
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(unusable("no pipes to the child"));
    };
    let started = Instant::now();
    let deadline = started.checked_add(Duration::from_millis(wall.ms)).unwrap_or(started);
    let (to, replies) = mpsc::channel();
    let reply_bytes = limits.reply_bytes;
    thread::Builder::new()
        .name("parse-reply".into())
        .spawn(move || {
            // Nobody waits any more once the time is up.
            let _ = to.send(wire::read(&mut stdout, reply_bytes));
        })
        .map_err(unusable)?;
    let (to, errors) = mpsc::channel();
    thread::Builder::new()
        .name("parse-stderr".into())
        .spawn(move || to.send(tail(&mut stderr)))
        .map_err(unusable)?;
    let reply = replies.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    let in_time = match &reply {
        Ok(Err(NoReply::Missing)) => ended_by(child, deadline),
        Ok(_) => true,
        Err(_) => false,
    };
    let _ = child.kill();
    // A process that the child left behind may hold the pipe open: last words are not waited for long.
    let stderr = errors.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
    Ok((reply.unwrap_or(Err(NoReply::Missing)), in_time, stderr))
}

/// A child that closed its output may still run: it gets the rest of its time.
fn ended_by(child: &mut Child, deadline: Instant) -> bool {
    loop {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn tail(from: &mut impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0u8; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Names the end of a child that gave no reply, by its signal and its last words.
fn explain(status: Option<ExitStatus>, stderr: &str, limits: &Limits) -> ExtractError {
    if stderr.contains("has overflowed its stack") {
        return ExtractError::limit("stack", limits.stack_bytes);
    }
    if stderr.contains("memory allocation of") || stderr.contains("Cannot allocate memory") {
        return ExtractError::limit("address_space", limits.address_space);
    }
    let Some(status) = status else { return unusable("the child could not be waited for") };
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        let signal = status.signal();
        if signal == Some(rustix::process::Signal::XCPU.as_raw()) {
            return ExtractError::limit("cpu_seconds", limits.cpu_seconds);
        }
        // A second past the CPU limit the kernel sends KILL, as it does when memory runs out.
        if let Some(signal) = signal {
            return ExtractError::ParserCrashed { reason: format!("signal {signal}{}", quoted(stderr)) };
        }
    }
    match status.code() {
        Some(2) => unusable(format!("the program does not serve parse requests{}", quoted(stderr))),
        _ => ExtractError::ParserCrashed { reason: format!("{status}{}", quoted(stderr)) },
    }
}

fn quoted(stderr: &str) -> String {
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    if line.is_empty() { String::new() } else { format!(": {}", line.chars().take(300).collect::<String>()) }
}

fn unusable(detail: impl ToString) -> ExtractError {
    ExtractError::Worker { detail: detail.to_string() }
}
