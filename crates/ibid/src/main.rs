//! `ibid`, the one binary. `main` reads the command line; the command runs here, or in the process that already owns
//! the data folder, and speaks through one stream of events.

mod cli;
mod commands;
mod data_folder;
mod event;
mod local_api;
mod owner;
mod problem;
mod rest;
mod serve;
mod settings;
mod terminal;

use crate::{
    cli::{Cli, Command, Global},
    data_folder::{DataFolder, Holder},
    event::{Event, Out},
    local_api::{Request, Server},
    owner::Owner,
    problem::{Failure, Problem},
    settings::Settings,
};
use anyhow::{Context, Result};
use clap::Parser;
use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

const USAGE: u8 = 2;
/// How long the lock of a service that no process here answers for is taken for a leftover; its process may be one of
/// another machine or container.
const LEFT_LOCK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // How this program starts its own child for parsing strangers' files; no command of its own.
    if std::env::args_os().skip(1).eq(["--worker", "parse"]) {
        return corpus::worker::serve();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return print_usage(&said),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let (out, events) = Out::new(cli.global.json);
        let shown = tokio::spawn(terminal::show(events, cli.global.json, out.cancel.clone()));
        watch_interrupts(&out);
        if let Err(error) = run(cli, &out).await {
            out.send(Event::Problem(Problem::from_error(&error)));
            out.send(Event::Exit { code: 1 });
        }
        drop(out);
        shown.await.unwrap_or(1)
    });
    // Threads that still compute something nobody asks for any more must not hold up the exit.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// What was wrong with the command line, or the help that was asked for.
fn print_usage(said: &clap::Error) -> ExitCode {
    let lost = said.print().err().and_then(terminal::lost_output);
    match (said.use_stderr(), lost) {
        (true, _) => ExitCode::from(USAGE),
        (false, None) => ExitCode::SUCCESS,
        (false, Some(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The first Ctrl-C asks the command to stop at a safe point, the second ends the process.
fn watch_interrupts(out: &Out) {
    let cancel = out.cancel.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if cancel.requested() {
                std::process::exit(130);
            }
            cancel.request();
        }
    });
}

async fn run(cli: Cli, out: &Out) -> Result<()> {
    let Cli { global, mut command } = cli;
    command.resolve_paths(&std::env::current_dir().context("cannot find the working directory")?);
    let data = DataFolder::open(&data_path(&global)?)?;
    if let Some(warning) = data.open_to_others()? {
        out.note(format!("warning: {warning}"));
    }
    if owner::run_without_owner(&data, &global, &command, out).await.is_some() {
        return Ok(());
    }
    let (settings, _) = Settings::load(&data, &global)?;
    let request = Request { settings, json: global.json, command };
    let (mut told, since) = (false, Instant::now());
    loop {
        if let Some(lock) = data.try_lock()? {
            return own(data, lock, &request, out).await;
        }
        let holder = data.holder();
        if let Some(socket) = holder.as_ref().and_then(|h| h.socket.as_ref())
            && (request.command.runs_in_owner() || (serves(&holder) && request.command.runs_in_service()))
            && forward(socket, &request, out).await?.is_some()
        {
            return Ok(());
        }
        if let (Some(holder), Command::Serve(_)) = (&holder, &request.command)
            && holder.command == cli::SERVE
            && (holder.runs() || since.elapsed() > LEFT_LOCK)
        {
            let detail = format!("process {} serves {} already", holder.process, data.path().display());
            return Err(Failure::new(409, "already_served", detail).into());
        }
        if let Some(holder) = holder.filter(|_| !told && !request.command.runs_in_owner()) {
            out.note(format!(
                "ibid {} (process {}) is using {}; waiting for it to end",
                holder.command,
                holder.process,
                data.path().display()
            ));
            told = true;
        }
        if out.cancel.requested() {
            return Err(Failure::cancelled().into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serves(holder: &Option<Holder>) -> bool {
    holder.as_ref().is_some_and(|holder| holder.command == cli::SERVE)
}

/// Passes the command to the owner; Ctrl-C leaves it, which stops it there.
async fn forward(socket: &std::path::Path, request: &Request, out: &Out) -> Result<Option<()>> {
    let watch = async {
        while !out.cancel.requested() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        outcome = local_api::forward(socket, request, out) => outcome,
        () = watch => Err(Failure::cancelled().into()),
    }
}

async fn own(data: DataFolder, mut lock: data_folder::Lock, request: &Request, out: &Out) -> Result<()> {
    let owner = Arc::new(Owner::open(data.clone(), &request.settings).await?);
    let server = if request.command.serves_others() {
        let all = matches!(request.command, Command::Serve(_));
        Some(Server::start(&data, owner.clone(), all, out.cancel.clone())?)
    } else {
        None
    };
    lock.announce(&Holder {
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: request.command.name().into(),
        socket: server.as_ref().map(|server| server.socket.clone()),
    })?;
    match &request.command {
        Command::Serve(args) => owner::finish(serve::run(&owner, &request.settings, args, out).await, out),
        command => owner.run(&request.settings, command, out).await,
    }
    if let Some(server) = server {
        server.finish().await;
    }
    owner.catalog().close().await;
    Ok(())
}

fn data_path(global: &Global) -> Result<PathBuf, Failure> {
    global
        .data
        .clone()
        .or_else(|| directories::ProjectDirs::from("", "", "ibid").map(|dirs| dirs.data_dir().to_owned()))
        .ok_or_else(|| {
            Failure::new(400, "no_data_folder", "no home directory is known; choose a folder with --data")
        })
}
