//! The child's side: give up rights, work on a thread with a fixed stack, write one reply.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use super::sandbox;
use super::wire::{self, Answer, Reply, Request, Work};
use crate::extract::{self, ExtractError, Extracted, Limits, Warning, WarningCode};
use crate::page_image;

/// Runs the child: called by a program's `--worker parse` and by nothing else, since it limits the whole process.
pub fn serve() -> ExitCode {
    serve_with(extract::extract_bytes)
}

/// As [`serve`], with another parser of texts: how tests see what becomes of one that misbehaves.
pub fn serve_with(
    parser: impl FnOnce(File, &str, &Limits) -> Result<Extracted, ExtractError> + Send + 'static,
) -> ExitCode {
    let request = match std::env::var(wire::VARIABLE).map(|text| serde_json::from_str::<Request>(&text)) {
        Ok(Ok(request)) => request,
        _ => {
            let _ = writeln!(io::stderr(), "{} holds no parse request", wire::VARIABLE);
            return ExitCode::from(2);
        }
    };
    let weak = sandbox::enter(&request.limits);
    let Request { work, name, limits } = request;
    let stack = limits.stack_bytes;
    match work {
        Work::Text => {
            let mut reply = on_a_thread(stack, move || parser(input()?, &name, &limits));
            if let Ok(extracted) = &mut reply {
                let weak = weak.into_iter().map(|right| Warning::new(WarningCode::WeakSandbox, right));
                extracted.warnings.extend(weak);
            }
            answer(&reply)
        }
        // That the sandbox is weak was said when the document was read.
        Work::Page { index, scale } => {
            answer(&on_a_thread(stack, move || page_image::render(input()?, &name, index, scale, &limits)))
        }
    }
}

fn answer<T: Answer>(reply: &Reply<T>) -> ExitCode {
    match wire::write(reply, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The stack is the thread's own, so its size does not depend on how the program was started.
fn on_a_thread<T: Answer>(stack_bytes: u64, work: impl FnOnce() -> Reply<T> + Send + 'static) -> Reply<T> {
    let stack = usize::try_from(stack_bytes).unwrap_or(usize::MAX);
    let thread = std::thread::Builder::new().name("parse".into()).stack_size(stack).spawn(work);
    let thread = thread.map_err(|error| ExtractError::Worker { detail: error.to_string() })?;
    thread.join().unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let reason = reason.or_else(|| panic.downcast_ref::<String>().cloned());
        let reason: String = reason.unwrap_or_else(|| "panic".into()).chars().take(300).collect();
        Err(ExtractError::ParserCrashed { reason })
    })
}

/// The document: standard input, as the file it is.
fn input() -> Result<File, ExtractError> {
    #[cfg(unix)]
    let input = {
        use std::os::fd::AsFd;
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    };
    #[cfg(not(unix))]
    let input = {
        use std::os::windows::io::AsHandle;
        io::stdin().as_handle().try_clone_to_owned().map(File::from)
    };
    input.map_err(|error| ExtractError::Worker { detail: error.to_string() })
}
