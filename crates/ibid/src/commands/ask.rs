//! `ibid ask`: a question, its answer with numbered citations, and what it cost.

use crate::{
    cli::{self, Ask},
    event::Out,
    owner::{Exit, Owner},
    problem::Failure,
    rest,
    settings::Settings,
};
use answer::{Answer, AskEvent, AskRequest, Citation, Grounding, Mode};
use anyhow::Result;
use catalog::LOCAL_OWNER;
use scout::{Cancel, Sampling};
use std::time::Duration;

pub async fn run(owner: &Owner, settings: &Settings, args: &Ask, out: &Out) -> Result<Exit> {
    let corpus = match owner.catalog().corpus(LOCAL_OWNER, &args.corpus).await {
        Err(catalog::Error::NotFound { .. }) if owner.is_adding(&args.corpus) => {
            return Err(not_begun(&args.corpus).into());
        }
        found => found?,
    };
    let ingest = owner.ingest(settings, out).await?;
    let defaults = AskRequest::new(&args.question, mode(args.mode));
    let request = AskRequest {
        documents: args.documents.clone(),
        max_output_tokens: args.max_output_tokens.unwrap_or(defaults.max_output_tokens),
        sampling: Sampling { temperature: args.temperature, top_p: args.top_p, seed: args.seed },
        ..defaults
    };
    let cancel = Cancel::default();
    // The model runs on this task's thread: what watches for Ctrl-C has to be another task.
    let watch = tokio::spawn(cancel_with(out.clone(), cancel.clone()));
    let answer = answer::ask(&ingest, &corpus, &request, &cancel, &mut |event| tell(event, out)).await;
    watch.abort();
    let answer = answer?;
    show(&answer, out)?;
    Ok(match answer.grounding {
        Grounding::NotInCorpus => Exit::NotInCorpus,
        Grounding::Supported | Grounding::PartlySupported => Exit::Done,
    })
}

/// The corpus is made when the model is loaded, which can take minutes.
fn not_begun(corpus: &str) -> Failure {
    let detail = format!("corpus {corpus:?} is just being made and has nothing to ask yet; ask again later");
    Failure::new(409, "still_reading", detail)
}

/// Ends with Ctrl-C, or when nobody listens any more.
pub async fn cancel_with(out: Out, cancel: Cancel) {
    while !out.cancel.requested() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cancel.cancel();
}

pub fn mode(mode: cli::Mode) -> Mode {
    match mode {
        cli::Mode::Auto => Mode::Auto,
        cli::Mode::Quote => Mode::Quote,
        cli::Mode::Free => Mode::Free,
    }
}

/// Text is said as it becomes final.
pub fn tell(event: AskEvent, out: &Out) {
    match event {
        AskEvent::Text(text) => out.text(rest::printable(&text)),
        AskEvent::Started { .. } | AskEvent::Composing { .. } | AskEvent::Loading { .. } => {}
        AskEvent::Rebuilding { document, tokens, reason } => {
            let document = rest::label(&document);
            out.note(format!("reading {tokens} tokens of {document} again: {reason}"));
        }
    }
}

/// What follows the text: citations and footer; in JSON mode the whole object.
pub fn show(answer: &Answer, out: &Out) -> Result<()> {
    if !answer.text.is_empty() {
        out.line("");
    }
    match (answer.grounding, answer.text.is_empty()) {
        (Grounding::NotInCorpus, true) => out.line("not in these documents"),
        (Grounding::NotInCorpus, false) => {
            out.line("\nnot in these documents: nothing there supports these words")
        }
        _ => {}
    }
    for citation in &answer.citations {
        out.line(format_args!("\n[{}] {}, {}", citation.number, place(citation), status(citation)));
        out.line(format_args!("    \"{}\"", rest::printable(&citation.quote)));
    }
    let usage = &answer.usage;
    out.line(format_args!(
        "\n{} tokens reused, {} prefilled; first token after {} ms, {:.1} tokens/s; {}",
        usage.reused_corpus_tokens,
        usage.prefilled_corpus_tokens,
        usage.ttft_ms,
        usage.output_tokens_per_s,
        answer.id
    ));
    out.object(rest::answer(answer));
    Ok(())
}

fn place(citation: &Citation) -> String {
    let source = &citation.source;
    let title = rest::label(&source.title);
    let name = if source.path.ends_with(&source.title) {
        rest::label(&source.path)
    } else {
        format!("{title} ({})", rest::label(&source.path))
    };
    match (source.page_start, &source.page_label) {
        (Some(page), Some(label)) if *label != page.to_string() => {
            format!("{name}, page {label} (page {page} of the file)")
        }
        (Some(page), _) => format!("{name}, page {page}"),
        (None, _) => format!("{name}, line {}", source.line),
    }
}

fn status(citation: &Citation) -> &'static str {
    match citation.verification.status {
        answer::Status::Exact => "quote verified",
        answer::Status::Normalised => "quote verified but for white space, hyphens or ligatures",
        answer::Status::NotFound => "quote not found",
    }
}
