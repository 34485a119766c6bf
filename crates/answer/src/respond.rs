//! Respond: read the question behind each composed passage, draft, then quote whole units or write freely, and let the
//! evidence choose between the passages. Runs the model; knows nothing of HTTP or the catalog.

use crate::{
    Result,
    choose::{Weights, best},
    compose::{DamagedPart, compose},
    draft::{Pen, measure_drafts, pens, write},
    gather::{Gathered, unit_text},
    lexical::support,
    quote::{Chosen, pick, tops},
    read::{Asked, Tail, read_question},
    sentences,
};
use scout::{Question, Sampling};

/// Tokens a free answer may have by default; a quote is as long as its unit.
pub const MAX_OUTPUT_TOKENS: u64 = 64;
/// Tokens of the drafts that are taken as evidence.
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

/// What is said while a response is made.
pub enum Said<'a> {
    /// All KV pages are there.
    Composed,
    /// Further text, final.
    Text(&'a str),
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
    pub kv_bytes_read: u64,
    pub finish: &'static str,
    pub decode_s: f64,
    /// Per composed candidate, its index and the attention mass on its document tokens.
    pub looked: Vec<(usize, Vec<(u64, f64)>)>,
}

/// `Ok(Err(part))`: a stored segment is damaged and has to be rebuilt first; nothing was said then. `said` hears the
/// text piece by piece as it becomes final.
pub fn respond(
    question: &Question<'_>,
    store: &kv::Store,
    gathered: &mut Gathered,
    tail: &Tail,
    quote: bool,
    plan: &Plan,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<std::result::Result<Response, DamagedPart>> {
    let mut asked = Vec::new();
    for candidate in 0..gathered.candidates.len().min(plan.passages) {
        match compose(question, store, &gathered.candidates[candidate])? {
            Ok(composed) => {
                asked.push(Asked { candidate, composed, logits: Vec::new(), by_token: Vec::new() });
            }
            Err(part) => return Ok(Err(part)),
        }
    }
    said(Said::Composed);
    let said = &mut |text: &str| said(Said::Text(text));
    let reused_tokens = asked.iter().map(|a| a.composed.reused_tokens).sum();
    let kv_bytes_read = asked.iter().map(|a| a.composed.bytes_read).sum();
    let question_tokens = tail.ids.len() as u64 * asked.len() as u64;
    read_question(question, &mut asked, gathered, tail)?;
    let start = std::time::Instant::now();
    let (tokens, sampling) = match quote {
        true => (DRAFT_TOKENS, Sampling::default()),
        false => (DRAFT_TOKENS.min(plan.max_output_tokens), plan.sampling),
    };
    let mut pens = pens(&asked, sampling);
    write(question, &mut pens, tokens, &mut |_| {})?;
    measure_drafts(gathered, &asked, &pens);
    let mut response = match quote {
        true => quoted(question, &mut asked, gathered, &plan.weights, said)?,
        false => freely(question, &asked, &mut pens, gathered, plan, said)?,
    };
    response.output_tokens += pens.iter().map(Pen::n_tokens).sum::<u64>();
    response.decode_s = start.elapsed().as_secs_f64();
    response.looked = asked.into_iter().map(|asked| (asked.candidate, asked.by_token)).collect();
    Ok(Ok(Response { question_tokens, reused_tokens, kv_bytes_read, ..response }))
}

/// One line per unit.
fn quoted(
    question: &Question<'_>,
    asked: &mut [Asked],
    gathered: &Gathered,
    weights: &Weights,
    said: &mut dyn FnMut(&str),
) -> Result<Response> {
    let (picked, output_tokens) = pick(question, asked, gathered, weights)?;
    let mut response = Response { output_tokens, finish: "end", ..Response::default() };
    for chosen in picked {
        let before = response.text.len();
        if before > 0 {
            response.text.push('\n');
        }
        let candidate = &gathered.candidates[chosen.candidate];
        let words = unit_text(candidate, candidate.units[chosen.unit].bytes);
        let start = response.text.chars().count() as u64;
        response.text.push_str(&words.split_whitespace().collect::<Vec<_>>().join(" "));
        let span = base::CharSpan::new(start, response.text.chars().count() as u64);
        response.sentences.push((span, Some(chosen)));
        said(&response.text[before..]);
    }
    Ok(response)
}

/// The draft that its own passage bears out best is written to its end.
fn freely(
    question: &Question<'_>,
    asked: &[Asked],
    pens: &mut [Pen],
    gathered: &Gathered,
    plan: &Plan,
    said: &mut dyn FnMut(&str),
) -> Result<Response> {
    let nothing = Response { finish: "end", ..Response::default() };
    let tops = tops(asked, gathered, &plan.weights);
    let top = best(tops.iter().map(|top| top.score)).map(|i| tops[i]);
    let Some(Chosen { candidate, score, .. }) = top.filter(|top| top.score >= plan.weights.threshold) else {
        return Ok(nothing);
    };
    let Some(at) = asked.iter().position(|asked| asked.candidate == candidate) else { return Ok(nothing) };
    let pen = &mut pens[at..=at];
    let mut heard = 0;
    let mut say = |settled: &str| {
        if heard < settled.len() {
            said(&settled[heard..]);
            heard = settled.len();
        }
    };
    say(pen[0].settled());
    write(question, pen, plan.max_output_tokens, &mut |pen| say(pen[0].settled()))?;
    let text = pen[0].text();
    say(text);
    let sentence = |span| {
        let words = sentences::slice(text, span);
        (span, supporting_unit(gathered, candidate, &words, score))
    };
    Ok(Response {
        sentences: sentences::sentences(text).into_iter().map(sentence).collect(),
        text: text.to_owned(),
        finish: if pen[0].ended() { "end" } else { "max_output_tokens" },
        ..nothing
    })
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
