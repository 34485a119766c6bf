//! `ibid bench`: how fast this machine reads, keeps, restores and answers, and how well its arithmetic
//! predicts. No timing is ever a test.

mod engine_speed;
mod ingest_speed;
mod measured;
mod own_process;
mod peak;
mod perplexity;
mod restore;
mod sample_text;
mod scratch;
mod stored_context;
mod timed_disk;
mod ttft;

use crate::{
    cli::Bench,
    data_folder::DataFolder,
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    settings::Settings,
};
use anyhow::Result;
use scout::Engine;

/// Whether the measurement asks a corpus of the data folder.
pub fn needs_corpus(args: &Bench) -> bool {
    matches!(args, Bench::Ttft(ttft) if ttft.corpus.is_some())
}

/// Measurements that bring their own text.
pub async fn run(data: &DataFolder, settings: &Settings, args: &Bench, out: &Out) -> Result<Exit> {
    match args {
        Bench::Prefill(args) => engine_speed::prefill(data, settings, args, out).await?,
        Bench::Decode(args) => engine_speed::decode(data, settings, args, out).await?,
        Bench::Ttft(args) if args.context.is_empty() => {
            ttft::ask_own_corpus(data, settings, args, out).await?;
        }
        Bench::Ttft(args) => ttft::compose_contexts(data, settings, args, out).await?,
        Bench::Ingest(args) => ingest_speed::run(data, settings, args, out).await?,
        Bench::Restore(args) => restore::run(data, settings, args, out).await?,
        Bench::Perplexity(args) => perplexity::run(data, settings, args, out).await?,
        Bench::Peak => tokio::task::block_in_place(|| peak::run(out))?,
    }
    Ok(Exit::Done)
}

/// The measurement for which `needs_corpus`.
pub async fn run_on_corpus(owner: &Owner, settings: &Settings, args: &Bench, out: &Out) -> Result<Exit> {
    match args {
        Bench::Ttft(args) => ttft::ask_corpus(owner, settings, args, out).await?,
        _ => return run(&owner.data, settings, args, out).await,
    }
    Ok(Exit::Done)
}

/// Spread over the vocabulary; the arithmetic does not depend on which tokens they are.
fn made_up_ids(engine: &Engine, n: usize) -> Vec<u32> {
    let vocab = engine.tokenizer().vocab_size();
    (0..n as u64).map(|i| (i * 7919 % vocab) as u32).collect()
}

/// `n` tokens in front and `behind` others have to fit the window beside the header.
fn check_window(engine: &Engine, n: usize, behind: usize) -> Result<(), Failure> {
    let window = engine.config().window as usize;
    let most = window.saturating_sub(engine.header().ids.len() + behind);
    if n == 0 || n > most {
        let detail = format!(
            "{n} tokens cannot be measured: the window of {window} leaves room for 1 to {most} of them beside the \
             header and {behind} more"
        );
        return Err(Failure::new(400, "too_long", detail));
    }
    Ok(())
}

fn stop_when_cancelled(out: &Out) -> Result<(), Failure> {
    if out.cancel.requested() {
        Err(Failure::new(499, "cancelled", "stopped; nothing is kept"))
    } else {
        Ok(())
    }
}
