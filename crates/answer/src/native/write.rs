//! Writing answers behind a stream, the questions token by token together, with what each token attended to.

use crate::{Result, respond::Response};
use kv::PAGE_TOKENS;
use scout::{Engine, Question, Sampler, Sequence, Step, Stream, StreamMass};

/// What one question's sequence wrote and looked at.
pub struct Written {
    pub text: String,
    pub n_tokens: u64,
    pub ended: bool,
    pub mass: StreamMass,
}

/// A running question on a stream.
struct Pen {
    sequence: Sequence,
    next: Vec<u32>,
    sampler: Sampler,
    ids: Vec<u32>,
    written: Written,
}

/// Writes the answers to several questions behind copies of `sequence`, all in one batch: one walk over the stored pages
/// serves as many rows as go into a pass. `heard` is told the first question's text whenever it grew, and may end the writing with an error.
pub fn write(
    question: &Question<'_>,
    sequence: &Sequence,
    tails: &[&[u32]],
    sampling: scout::Sampling,
    max_tokens: u64,
    heard: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Vec<Written>> {
    let engine = question.engine();
    let layers = 0..engine.config().n_layers;
    // What all questions begin with is read once.
    let mut opened = sequence.fork();
    let common = common_start(tails);
    if common > 0 {
        let ids = &tails[0][..common];
        question.step(&mut [Step { sequence: &mut opened, ids, logits: 0..0, mass: None }])?;
    }
    let pen = |tail: &&[u32]| Pen {
        sequence: opened.fork(),
        next: tail[common..].to_vec(),
        sampler: Sampler::new(sampling),
        ids: Vec::new(),
        written: Written { text: String::new(), n_tokens: 0, ended: false, mass: StreamMass::new() },
    };
    let mut pens: Vec<Pen> = tails.iter().map(pen).collect();
    loop {
        let mut running: Vec<&mut Pen> =
            pens.iter_mut().filter(|pen| !pen.written.ended && pen.written.n_tokens < max_tokens).collect();
        if running.is_empty() {
            break;
        }
        let mut steps: Vec<Step<'_>> = running
            .iter_mut()
            .map(|pen| {
                let last = pen.next.len() - 1..pen.next.len();
                let mass = Some((last.clone(), layers.clone()));
                Step { sequence: &mut pen.sequence, ids: &pen.next, logits: last, mass }
            })
            .collect();
        let decoded = question.step(&mut steps)?;
        for (at, (pen, mass)) in running.into_iter().zip(decoded.stream_mass).enumerate() {
            pen.take(engine, decoded.logits.row(at), mass)?;
        }
        heard(&pens[0].written.text)?;
    }
    Ok(pens.into_iter().map(|pen| pen.written).collect())
}

/// Tokens that all tails begin with, their last ones left out; 0 for a single one.
fn common_start(tails: &[&[u32]]) -> usize {
    let [first, others @ ..] = tails else { return 0 };
    let shared =
        |other: &&[u32]| first.iter().zip(*other).take_while(|(a, b)| a == b).count().min(other.len() - 1);
    others.iter().map(shared).min().unwrap_or(0).min(first.len() - 1)
}

impl Pen {
    /// Takes the next token. What the step that ends the answer looked at says nothing of its words.
    fn take(&mut self, engine: &Engine, logits: &[f32], mass: StreamMass) -> Result<()> {
        let id = self.sampler.next(logits);
        if engine.stop_ids().contains(&id) {
            self.written.ended = true;
            return Ok(());
        }
        for (page, slots) in mass {
            let sum = self.written.mass.entry(page).or_insert([0.0; PAGE_TOKENS]);
            sum.iter_mut().zip(slots).for_each(|(sum, value)| *sum += value);
        }
        self.ids.push(id);
        self.next = vec![id];
        self.written.n_tokens += 1;
        self.written.text = engine.tokenizer().decode(&self.ids)?;
        Ok(())
    }
}

impl Written {
    /// What was said, without the sources of its sentences.
    pub fn response(&self, stream: &Stream) -> Response {
        Response {
            text: self.text.trim().to_owned(),
            output_tokens: self.n_tokens,
            reused_tokens: stream.n_tokens(),
            finish: if self.ended { "end" } else { "max_output_tokens" },
            ..Response::default()
        }
    }
}
