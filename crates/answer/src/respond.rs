//! Respond: read the question behind each composed passage in one batch, then quote whole units or write freely, and
//! let the evidence choose between the passages. Runs the model; knows nothing of HTTP or the catalog.

use crate::{
    Result,
    choose::{Weights, best},
    compose::{ComposedPassage, DamagedPart, compose},
    gather::{Candidate, Gathered},
    lexical::support,
    sentences,
    trie::QuoteTrie,
};
use scout::{Engine, Sampler, Sampling, Step, log_prob};

/// Tokens a free answer may have by default; a quote is as long as its unit.
pub const MAX_OUTPUT_TOKENS: u64 = 64;

/// Settings of one response, stored for replay.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// Passages that are composed, each in its own sequence.
    pub passages: usize,
    pub weights: Weights,
    pub sampling: Sampling,
    pub max_output_tokens: u64,
}

/// One unit the answer rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub candidate: usize,
    pub unit: usize,
    pub score: f64,
}

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

/// One passage being asked.
struct Asked {
    candidate: usize,
    composed: ComposedPassage,
    logits: Vec<f32>,
}

/// `Ok(Err(part))`: a stored segment is damaged and has to be rebuilt first.
pub fn respond(
    engine: &Engine,
    store: &kv::Store,
    gathered: &mut Gathered,
    question: &str,
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
    let tail = question_tail(engine, question)?;
    let reused_tokens = asked.iter().map(|a| a.composed.reused_tokens).sum();
    let question_tokens = tail.len() as u64 * asked.len() as u64;
    read_question(engine, &mut asked, gathered, &tail)?;
    let start = std::time::Instant::now();
    let mut response = match quote {
        true => quote_units(engine, &mut asked, gathered, plan)?,
        false => write_freely(engine, &mut asked, gathered, plan)?,
    };
    response.decode_s = start.elapsed().as_secs_f64();
    response.question_tokens = question_tokens;
    response.reused_tokens = reused_tokens;
    Ok(Ok(response))
}

/// The question, encoded so that no text in it can become a special token, and the end of the user's turn.
pub fn question_tail(engine: &Engine, question: &str) -> Result<Vec<u32>> {
    let mut ids = engine.tokenizer().encode_document(&format!("\n\nQuestion: {}", question.trim()))?.ids;
    ids.extend_from_slice(&engine.header().suffix_ids);
    Ok(ids)
}

/// One batch: the question behind every passage. Gives the first logits and each unit's attention mass.
fn read_question(engine: &Engine, asked: &mut [Asked], gathered: &mut Gathered, tail: &[u32]) -> Result<()> {
    let n_layers = engine.config().n_layers;
    let mut steps: Vec<Step<'_>> = asked
        .iter_mut()
        .map(|a| Step {
            sequence: &mut a.composed.sequence,
            ids: tail,
            logits: tail.len() - 1..tail.len(),
            mass: Some((0..tail.len(), n_layers / 3..n_layers)),
        })
        .collect();
    if steps.is_empty() {
        return Ok(());
    }
    let decoded = engine.step(&mut steps)?;
    for (i, asked) in asked.iter_mut().enumerate() {
        asked.logits = decoded.logits.row(i).to_vec();
        let by_token = asked.composed.token_mass(&decoded.mass[i]);
        let total: f64 = by_token.iter().map(|(_, mass)| mass).sum();
        let candidate = &mut gathered.candidates[asked.candidate];
        let spans = &candidate.source.text.token_spans;
        for unit in &mut candidate.units {
            let inside: f64 = by_token
                .iter()
                .filter(|(token, _)| spans[*token as usize].intersect(unit.bytes).is_some())
                .map(|(_, mass)| mass)
                .sum();
            unit.evidence.mass = if total > 0.0 { inside / total } else { 0.0 };
        }
    }
    Ok(())
}

/// Decoding constrained to whole units: at every token the likeliest child, its prior being the best score of the
/// units below. Stops as soon as one unit is left. The passage with the best total wins.
fn quote_units(engine: &Engine, asked: &mut [Asked], gathered: &Gathered, plan: &Plan) -> Result<Response> {
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut output_tokens = 0;
    for asked in asked.iter_mut() {
        let candidate = &gathered.candidates[asked.candidate];
        let mut spelt = Vec::new();
        for unit in &candidate.units {
            spelt.push(engine.tokenizer().encode_document(unit_text(candidate, unit.bytes))?.ids);
        }
        let priors: Vec<f64> = candidate.units.iter().map(|u| plan.weights.score(&u.evidence)).collect();
        let trie = QuoteTrie::new(spelt.iter().map(Vec::as_slice).zip(priors.iter().copied()));
        let (unit, likelihood, steps) = spell(engine, asked, &trie, plan)?;
        output_tokens += steps;
        if let Some(unit) = unit {
            let score = priors[unit] + plan.weights.likelihood * likelihood;
            chosen.push(Chosen { candidate: asked.candidate, unit, score });
        }
    }
    let mut picked = Vec::new();
    if let Some(first) = best(chosen.iter().map(|c| c.score)).map(|i| chosen[i]) {
        if first.score >= plan.weights.threshold {
            picked.push(first);
            picked.extend(second_unit(gathered, &chosen, first, plan));
        }
    }
    Ok(quoted(gathered, &picked, output_tokens))
}

/// Walks the trie; gives the unit, the mean log-likelihood of the tokens that were a choice, and the tokens decoded.
fn spell(
    engine: &Engine,
    asked: &mut Asked,
    trie: &QuoteTrie,
    plan: &Plan,
) -> Result<(Option<usize>, f64, u64)> {
    let (mut node, mut nats, mut steps) = (trie.root(), 0.0, 0_u64);
    loop {
        let choices = trie.choices(node);
        if choices.tokens.is_empty() || (steps > 0 && trie.only_unit(node).is_some()) {
            let unit = choices.end.or_else(|| trie.only_unit(node));
            return Ok((unit, if steps > 0 { nats / steps as f64 } else { 0.0 }, steps));
        }
        let scale = 1.0 / plan.weights.likelihood.max(1e-6);
        let scores = choices.tokens.iter().map(|&(id, _, prior)| log_prob(&asked.logits, id) + scale * prior);
        let Some(pick) = best(scores) else { return Ok((choices.end, 0.0, steps)) };
        let (id, next, _) = choices.tokens[pick];
        nats += log_prob(&asked.logits, id);
        steps += 1;
        node = next;
        if trie.only_unit(node).is_none() {
            let mut step =
                [Step { sequence: &mut asked.composed.sequence, ids: &[id], logits: 0..1, mass: None }];
            asked.logits = engine.step(&mut step)?.logits.row(0).to_vec();
        }
    }
}

/// A unit of another document that speaks of what the first leaves out.
fn second_unit(gathered: &Gathered, chosen: &[Chosen], first: Chosen, plan: &Plan) -> Option<Chosen> {
    let words = |c: &Chosen| gathered.candidates[c.candidate].units[c.unit].terms.iter().map(String::as_str);
    let document = |c: &Chosen| &gathered.candidates[c.candidate].source.document.id;
    let alone = gathered.question.coverage(words(&first));
    let others: Vec<Chosen> = chosen.iter().copied().filter(|c| document(c) != document(&first)).collect();
    let gains = others.iter().map(|c| gathered.question.coverage(words(&first).chain(words(c))) - alone);
    let gains: Vec<f64> = gains.collect();
    best(gains.iter().copied()).filter(|&i| gains[i] >= plan.weights.second).map(|i| others[i])
}

fn quoted(gathered: &Gathered, picked: &[Chosen], output_tokens: u64) -> Response {
    let mut text = String::new();
    let mut spans = Vec::new();
    for chosen in picked {
        if !text.is_empty() {
            text.push('\n');
        }
        let candidate = &gathered.candidates[chosen.candidate];
        let words = unit_text(candidate, candidate.units[chosen.unit].bytes);
        let start = text.chars().count() as u64;
        text.push_str(&words.split_whitespace().collect::<Vec<_>>().join(" "));
        spans.push((base::CharSpan::new(start, text.chars().count() as u64), Some(*chosen)));
    }
    Response {
        text,
        sentences: spans,
        output_tokens,
        question_tokens: 0,
        reused_tokens: 0,
        finish: "end",
        decode_s: 0.0,
    }
}

/// Free decoding of all passages as one batch; the answer that its own passage supports best is given.
fn write_freely(engine: &Engine, asked: &mut [Asked], gathered: &Gathered, plan: &Plan) -> Result<Response> {
    let drafts = decode_all(engine, asked, plan)?;
    let scores: Vec<f64> =
        drafts.iter().zip(asked.iter()).map(|(d, a)| draft_score(gathered, a, d, plan)).collect();
    let output_tokens = drafts.iter().map(|d| d.ids.len() as u64).sum();
    let Some(pick) = best(scores.iter().copied()).filter(|&i| scores[i] >= plan.weights.threshold) else {
        return Ok(quoted(gathered, &[], output_tokens));
    };
    let (draft, candidate) = (&drafts[pick], asked[pick].candidate);
    let text = draft.text.clone();
    let spans = sentences::sentences(&text)
        .into_iter()
        .map(|span| {
            (span, supporting_unit(gathered, candidate, &sentences::slice(&text, span), scores[pick]))
        })
        .collect();
    let finish = if draft.stopped { "end" } else { "max_output_tokens" };
    Ok(Response { sentences: spans, finish, ..quoted(gathered, &[], output_tokens).with_text(text) })
}

impl Response {
    fn with_text(mut self, text: String) -> Self {
        self.text = text;
        self
    }
}

struct Draft {
    ids: Vec<u32>,
    text: String,
    mean_nats: f64,
    stopped: bool,
}

fn decode_all(engine: &Engine, asked: &mut [Asked], plan: &Plan) -> Result<Vec<Draft>> {
    let mut samplers: Vec<Sampler> = asked.iter().map(|_| Sampler::new(plan.sampling)).collect();
    let mut drafts: Vec<(Vec<u32>, f64, bool)> = asked.iter().map(|_| (Vec::new(), 0.0, false)).collect();
    for _ in 0..plan.max_output_tokens {
        let mut running = Vec::new();
        for (i, asked) in asked.iter().enumerate() {
            if drafts[i].2 {
                continue;
            }
            let id = samplers[i].next(&asked.logits);
            drafts[i].1 += log_prob(&asked.logits, id);
            if engine.stop_ids().contains(&id) {
                drafts[i].2 = true;
            } else {
                drafts[i].0.push(id);
                running.push((i, [id]));
            }
        }
        if running.is_empty() {
            break;
        }
        let mut ids = running.iter();
        let mut next = ids.next();
        let mut steps = Vec::new();
        for (i, asked) in asked.iter_mut().enumerate() {
            if let Some((_, id)) = next.filter(|(at, _)| *at == i) {
                steps.push(Step {
                    sequence: &mut asked.composed.sequence,
                    ids: id,
                    logits: 0..1,
                    mass: None,
                });
                next = ids.next();
            }
        }
        let logits = engine.step(&mut steps)?.logits;
        for (row, (i, _)) in running.iter().enumerate() {
            asked[*i].logits = logits.row(row).to_vec();
        }
    }
    drafts
        .into_iter()
        .map(|(ids, nats, stopped)| {
            let text = engine.tokenizer().decode(&ids)?.trim().to_owned();
            Ok(Draft { mean_nats: nats / (ids.len() + 1) as f64, ids, text, stopped })
        })
        .collect()
}

fn draft_score(gathered: &Gathered, asked: &Asked, draft: &Draft, plan: &Plan) -> f64 {
    let candidate = &gathered.candidates[asked.candidate];
    let all: Vec<String> = candidate.units.iter().flat_map(|u| u.terms.iter().cloned()).collect();
    let top = candidate.units.iter().map(|u| plan.weights.score(&u.evidence)).fold(0.0, f64::max);
    top * support(&crate::gather::terms(&draft.text), &all) + plan.weights.likelihood * draft.mean_nats
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

/// The stored words of a unit.
pub fn unit_text(candidate: &Candidate, bytes: base::ByteSpan) -> &str {
    &candidate.source.text.text[bytes.start as usize..bytes.end as usize]
}
