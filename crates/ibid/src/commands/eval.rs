//! `ibid eval`: asks the questions of a file and judges the answers by the file's accepted strings and gold quotes.

use crate::{
    cli::Eval,
    commands::ask,
    event::{Meter, Out},
    owner::{Exit, Owner, open_engine},
    settings::{KvDtype, Numerics, Settings},
};
use answer::{AskRequest, EvalQuestion, EvalReport, Extras, Judged};
use anyhow::{Context, Result};
use catalog::{Corpus, LOCAL_OWNER};
use ingest::Ingest;
use scout::Cancel;
use serde_json::json;

pub async fn run(owner: &Owner, settings: &Settings, args: &Eval, out: &Out) -> Result<Exit> {
    // Before the model is loaded: a file that nothing can be judged by should be told at once.
    let text = std::fs::read_to_string(&args.questions)
        .with_context(|| format!("cannot read {}", args.questions.display()))?;
    let questions = EvalQuestion::read_all(&text, args.split.as_deref())
        .with_context(|| format!("{} cannot be judged by", args.questions.display()))?;
    let corpus = owner.catalog().corpus(LOCAL_OWNER, &args.corpus).await?;
    let ingest = owner.ingest(settings, out).await?;
    let of_passages = [("--passages", args.passages.is_some()), ("--reference", args.reference)];
    if let Some((option, _)) =
        of_passages.into_iter().find(|(_, given)| *given && ingest.engine.sees_everything())
    {
        return Err(answer::Error::EvalOption { option, models: "are given passages" }.into());
    }
    let reference = match args.reference {
        true => {
            let reference =
                Settings { numerics: Numerics::Reference, kv_dtype: KvDtype::Auto, ..settings.clone() };
            Some(open_engine(&owner.data, &reference, out).await?)
        }
        false => None,
    };
    let extras = Extras {
        evidence: args.evidence,
        reuse: args.reuse,
        hide_gold: args.hide_gold,
        exact: args.exact,
        reference: reference.as_deref(),
    };
    let cancel = Cancel::default();
    // The model runs on this task's thread: what watches for Ctrl-C has to be another task.
    let watch = tokio::spawn(ask::cancel_with(out.clone(), cancel.clone()));
    let modes = evaluate(&ingest, &corpus, &questions, args, extras, &cancel, out).await;
    watch.abort();
    let modes = modes?;
    out.object(json!({
        "object": "evaluation", "corpus_id": corpus.id.as_str(), "corpus": corpus.name,
        "questions": questions.len(), "modes": modes,
    }));
    Ok(Exit::Done)
}

/// A report for each mode, shown as soon as it is there.
async fn evaluate(
    ingest: &Ingest,
    corpus: &Corpus,
    questions: &[EvalQuestion],
    args: &Eval,
    extras: Extras<'_>,
    cancel: &Cancel,
    out: &Out,
) -> Result<Vec<EvalReport>> {
    let mut reports = Vec::new();
    for (number, mode) in args.mode.iter().enumerate() {
        // Greedy answers are the same in every mode.
        let extras = Extras { reference: extras.reference.filter(|_| number == 0), ..extras };
        let mut request = AskRequest::new("", ask::mode(*mode));
        request.passages = args.passages.unwrap_or(request.passages);
        let mut meter = Meter::new(out, &format!("eval {}", request.mode.as_str()), "questions");
        let mut told = |_: &Judged, done: usize, total: usize| meter.report(done as u64, total as u64);
        let report = answer::evaluate(ingest, corpus, questions, &request, extras, cancel, &mut told).await?;
        show(&report, args.exact, out);
        reports.push(report);
    }
    Ok(reports)
}

/// Of passages that were looked up; a model that sees whole corpora looks none up.
fn share(found: u64, of: u64) -> String {
    if of == 0 { "-".into() } else { format!("{:.2}", found as f64 / of as f64) }
}

fn show(report: &EvalReport, exact: bool, out: &Out) {
    out.line(format_args!("mode {}", report.mode));
    if exact {
        out.line(
            "  Exact rows cite nothing: of these columns, only \"answer\" and \"refused\" mean something.",
        );
    }
    out.line("  kind            questions  right  answer  citations  refused  precision  recall    @1    @8");
    let all = ("all".to_owned(), report.all);
    for (kind, tally) in report.kinds.iter().map(|(kind, tally)| (kind.clone(), *tally)).chain([all]) {
        out.line(format_args!(
            "  {kind:<14} {:>10} {:>6} {:>7} {:>10} {:>8} {:>10.3} {:>7.3} {:>5} {:>5}",
            tally.questions,
            tally.right,
            tally.answer_right,
            tally.citations_right,
            tally.refused,
            tally.precision,
            tally.recall,
            share(tally.found_at_1, tally.single),
            share(tally.found_at_8, tally.answerable),
        ));
    }
    show_greedy(report, out);
    if let Some(reuse) = &report.reuse {
        out.line(format_args!(
            "  gold passage of {} questions: stored rows {:.3} nats per token of the answer, fresh ones {:.3} \
             (difference {:+.3} ± {:.3}); right {} and {}",
            reuse.questions,
            reuse.reused_nats,
            reuse.fresh_nats,
            reuse.reused_nats - reuse.fresh_nats,
            reuse.standard_error,
            reuse.reused_right,
            reuse.fresh_right,
        ));
    }
}

/// Every greedy answer that is not the reference's.
fn show_greedy(report: &EvalReport, out: &Out) {
    let compared = report.results.iter().filter_map(|judged| Some((&judged.id, judged.greedy.as_ref()?)));
    let compared: Vec<_> = compared.collect();
    if compared.is_empty() {
        return;
    }
    let changed: Vec<_> =
        compared.iter().filter_map(|(id, greedy)| Some((id, greedy.parting.as_ref()?))).collect();
    let tokens: u64 = compared.iter().map(|(_, greedy)| greedy.tokens).sum();
    out.line(format_args!(
        "  greedy answers behind the first passage: {} of {} ({tokens} tokens) are not the f32 reference's",
        changed.len(),
        compared.len(),
    ));
    for (id, parting) in changed {
        out.line(format_args!(
            "    {id} after {} tokens: {:?}, the reference {:?}, whose lead there is {:.3} nats",
            parting.after, parting.other, parting.reference, parting.lead,
        ));
    }
}
