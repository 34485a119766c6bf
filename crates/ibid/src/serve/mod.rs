//! `ibid serve`: the service. A request comes in through `guard` (host, origin, key), reaches its handler by `router`, and
//! what is slow goes through `questions` or `job_queue`, which outlive the request. One file per resource.

mod answer_events;
mod answers;
mod caller;
mod connections;
mod conversations;
mod corpora;
mod description;
mod documents;
mod embedded;
mod extract;
mod files;
mod guard;
mod health;
mod idempotency;
mod job_queue;
mod jobs;
mod listing;
mod live;
mod metrics;
mod models;
mod openai;
mod pages;
mod questions;
mod refusal;
mod router;
mod sample;
mod service;
mod session;
mod text;
mod turns;
mod upload;
mod upload_digest;
mod usage;
mod web;

pub use caller::digest;
pub use service::random_token;

use crate::{
    cli::Serve,
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    settings::Settings,
};
use anyhow::{Context, Result};
use service::Service;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Serves until Ctrl-C or SIGTERM; running requests and questions end first.
pub async fn run(owner: &Arc<Owner>, settings: &Settings, args: &Serve, out: &Out) -> Result<Exit> {
    let keys = owner.catalog().any_keys(catalog::now_ms()).await?;
    let loopback = args.address.ip().is_loopback();
    if !loopback && !keys {
        let detail = format!(
            "{} can be reached from other machines, and there is no key yet; make one with: ibid key create --owner NAME",
            args.address
        );
        return Err(Failure::new(400, "no_key", detail).into());
    }
    begin_log();
    let ingest = owner.ingest(settings, out).await?;
    let listener = TcpListener::bind(args.address)
        .await
        .with_context(|| format!("cannot listen on {}; choose another with --address", args.address))?;
    let address = listener.local_addr()?;
    let service = Service::start(owner.clone(), ingest, settings.clone(), address).await?;
    announce(address, service.is_open().await?, out);
    let router = router::router(service.clone());
    let (cancel, stopping) = (out.cancel.clone(), service.clone());
    // Whoever follows a job or waits for a turn is let go: an open stream would hold up the end.
    connections::serve(listener, router, async move { stop_requested(&cancel).await }, move || {
        stopping.begin_stop()
    })
    .await;
    service.stop().await;
    Ok(Exit::Done)
}

/// `ibid serve --openapi`
pub fn print_description(out: &Out) -> Result<Exit> {
    let description = router::description();
    out.line(description.to_pretty_json()?);
    out.object(&description);
    Ok(Exit::Done)
}

/// On standard error, one line for a request; never document text. `RUST_LOG` chooses another level than `info`.
fn begin_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("ibid=info,warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Only a second log of the same process fails.
    let _ = log.try_init();
}

fn announce(address: SocketAddr, open: bool, out: &Out) {
    out.line(format_args!("Ibid listens on http://{address}/"));
    if open {
        out.note(
            "no key exists: everybody on this machine may ask, upload and delete (owner local); \
             ibid key create --owner NAME makes one",
        );
    }
    out.object(
        serde_json::json!({ "object": "service", "address": format!("http://{address}/"), "open": open }),
    );
}

async fn stop_requested(cancel: &crate::event::Cancel) {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    loop {
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                if cancel.requested() { return; }
            }
            Some(()) = async { match terminate.as_mut() { Some(t) => t.recv().await, None => std::future::pending().await } } => {
                cancel.request();
                return;
            }
        }
    }
}
