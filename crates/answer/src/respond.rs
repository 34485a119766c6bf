//! Respond: read the question behind each composed passage, draft, then quote whole units or write freely, and let the
//! evidence choose between the passages. Runs the model; knows nothing of HTTP or the catalog.

use crate::{
    Result,
    choose::{Weights, best},
    compose::{DamagedPart, compose},
    draft::{Draft, drafts, measure_drafts},
    gather::{Gathered, unit_text},
    lexical::support,
    quote::{Chosen, pick, tops},
    read::{Asked, Tail, fork, read_question},
    sentences,
};
use scout::{Engine, Sampling};

/// Tokens a free answer may have by default; a quote is as long as its unit.
pub const MAX_OUTPUT_TOKENS: u64 = 64;
/// Tokens of the drafts that quoting takes as evidence.
const DRAFT_TOKENS: u64 = 16;

/// Settings of one response, stored for replay.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// Passages that are composed, each in its own sequence.
    pub passages: usize,
    pub weights: Weights,
    pub sampling: Sampling,
    pub max_output_tokens: u64,
}

#[derive(Default)]
pub struct Response {
    /// Empty when the evidence is too weak.
    pub text: String,
    /// Span of each sentence of `text` with the unit it rests on, if any.
    pub sentences: Vec<(base::CharSpan, Option<Chosen>)>,
    pub output_tokens: u64,
    pub question_tokens: u64,
    pub reused_tokens: u64,
    pub finish: &'static str,
    pub decode_s: f64,
}

/// `Ok(Err(part))`: a stored segment is damaged and has to be rebuilt first.
pub fn respond(
    engine: &Engine,
    store: &kv::Store,
    gathered: &mut Gathered,
    tail: &Tail,
    quote: bool,
    plan: &Plan,
) -> Result<std::result::Result<Response, DamagedPart>> {
    let mut asked = Vec::new();
    for candidate in 0..gathered.candidates.len().min(plan.passages) {
        match compose(engine, store, &gathered.candidates[candidate])? {
            Ok(composed) => asked.push(Asked { candidate, composed, logits: Vec::new() }),
            Err(part) => return Ok(Err(part)),
        }
    }
    let reused_tokens = asked.iter().map(|a| a.composed.reused_tokens).sum();
    let question_tokens = tail.ids.len() as u64 * asked.len() as u64;
    read_question(engine, &mut asked, gathered, tail)?;
    let start = std::time::Instant::now();
    let tokens = if quote { DRAFT_TOKENS } else { plan.max_output_tokens };
    let sampling = if quote { Sampling::default() } else { plan.sampling };
    let drafts = drafts(engine, &mut fork(&asked), sampling, tokens)?;
    measure_drafts(gathered, &asked, &drafts);
    let mut response = match quote {
        true => quoted(engine, &mut asked, gathered, &plan.weights)?,
        false => freely(gathered, &asked, &drafts, &plan.weights),
    };
    response.output_tokens += drafts.iter().map(|draft| draft.ids.len() as u64).sum::<u64>();
    response.decode_s = start.elapsed().as_secs_f64();
    Ok(Ok(Response { question_tokens, reused_tokens, ..response }))
}

/// One line per unit.
fn quoted(engine: &Engine, asked: &mut [Asked], gathered: &Gathered, weights: &Weights) -> Result<Response> {
    let (picked, output_tokens) = pick(engine, asked, gathered, weights)?;
    let mut response = Response { output_tokens, finish: "end", ..Response::default() };
    for chosen in picked {
        if !response.text.is_empty() {
            response.text.push('\n');
        }
        let candidate = &gathered.candidates[chosen.candidate];
        let words = unit_text(candidate, candidate.units[chosen.unit].bytes);
        let start = response.text.chars().count() as u64;
        response.text.push_str(&words.split_whitespace().collect::<Vec<_>>().join(" "));
        let span = base::CharSpan::new(start, response.text.chars().count() as u64);
        response.sentences.push((span, Some(chosen)));
    }
    Ok(response)
}

/// The draft that its own passage bears out best.
fn freely(gathered: &Gathered, asked: &[Asked], drafts: &[Draft], weights: &Weights) -> Response {
    let tops = tops(asked, gathered, weights);
    let nothing = Response { finish: "end", ..Response::default() };
    let top = best(tops.iter().map(|top| top.score)).map(|i| tops[i]);
    let Some(Chosen { candidate, score, .. }) = top.filter(|top| top.score >= weights.threshold) else {
        return nothing;
    };
    let of_candidate = |(asked, _): &(&Asked, &Draft)| asked.candidate == candidate;
    let Some((_, draft)) = asked.iter().zip(drafts).find(of_candidate) else { return nothing };
    let sentence = |span| {
        let words = sentences::slice(&draft.text, span);
        (span, supporting_unit(gathered, candidate, &words, score))
    };
    Response {
        sentences: sentences::sentences(&draft.text).into_iter().map(sentence).collect(),
        text: draft.text.clone(),
        finish: if draft.stopped { "end" } else { "max_output_tokens" },
        ..nothing
    }
}

/// The unit of the passage that holds most of the sentence; `None` when less than half of it is there.
fn supporting_unit(gathered: &Gathered, candidate: usize, sentence: &str, score: f64) -> Option<Chosen> {
    let claim = crate::gather::terms(sentence);
    let units = &gathered.candidates[candidate].units;
    let scores: Vec<f64> = units
        .iter()
        .map(|u| support(&claim, &u.terms) + 0.1 * u.evidence.coverage + 0.1 * u.evidence.mass)
        .collect();
    let unit = best(scores.iter().copied())?;
    (support(&claim, &units[unit].terms) >= 0.5).then_some(Chosen { candidate, unit, score })
}
