//! Draft: what the model writes behind each passage, all passages as one batch, one token per step.

use crate::{
    Result,
    gather::Gathered,
    lexical::support,
    read::Asked,
    sentences::{repeats, settled},
};
use scout::{Engine, Question, Sampler, Sampling, Sequence, Step};

/// Writes behind one passage; goes on where it stopped.
pub struct Pen {
    sequence: Sequence,
    /// Of the next token, `[vocab]`; stale while `unread`.
    logits: Vec<f32>,
    /// Whether the last token was written but not yet run through the model.
    unread: bool,
    sampler: Sampler,
    ids: Vec<u32>,
    text: String,
    ended: bool,
}

/// One pen for each asked passage, on copies of the sequences.
pub fn pens(asked: &[Asked], sampling: Sampling) -> Vec<Pen> {
    let pen = |asked: &Asked| Pen {
        sequence: asked.composed.sequence.fork(),
        logits: asked.logits.clone(),
        unread: false,
        sampler: Sampler::new(sampling),
        ids: Vec::new(),
        text: String::new(),
        ended: false,
    };
    asked.iter().map(pen).collect()
}

/// Lets every pen write until it has `max_tokens` tokens or ends; `after_step` sees them after every token.
pub fn write(
    question: &Question<'_>,
    pens: &mut [Pen],
    max_tokens: u64,
    after_step: &mut dyn FnMut(&[Pen]),
) -> Result<()> {
    loop {
        let mut running: Vec<&mut Pen> =
            pens.iter_mut().filter(|pen| !pen.ended && (pen.ids.len() as u64) < max_tokens).collect();
        if running.is_empty() {
            return Ok(());
        }
        read_last(question, &mut running)?;
        for pen in running {
            pen.take(question.engine())?;
        }
        after_step(pens);
    }
}

/// Runs the tokens that were written last through the model, all in one step.
fn read_last(question: &Question<'_>, pens: &mut [&mut Pen]) -> Result<()> {
    let (mut steps, mut logits) = (Vec::new(), Vec::new());
    for pen in pens.iter_mut().filter(|pen| pen.unread) {
        let Some(last) = pen.ids.last() else { continue };
        steps.push(Step {
            sequence: &mut pen.sequence,
            ids: std::slice::from_ref(last),
            logits: 0..1,
            mass: None,
        });
        logits.push((&mut pen.logits, &mut pen.unread));
    }
    if steps.is_empty() {
        return Ok(());
    }
    let decoded = question.step(&mut steps)?.logits;
    for (row, (logits, unread)) in logits.into_iter().enumerate() {
        logits.copy_from_slice(decoded.row(row));
        *unread = false;
    }
    Ok(())
}

impl Pen {
    /// Takes the next token; ends at a stop token or when a sentence was said before, as small models do.
    fn take(&mut self, engine: &Engine) -> Result<()> {
        let id = self.sampler.next(&self.logits);
        if engine.stop_ids().contains(&id) {
            self.ended = true;
            return Ok(());
        }
        self.ids.push(id);
        self.unread = true;
        self.text = engine.tokenizer().decode(&self.ids)?;
        if let Some(kept) = repeats(&self.text) {
            // The repeated sentence is not part of the draft.
            self.text = self.text.chars().take(kept).collect();
            self.ended = true;
        }
        Ok(())
    }

    /// Everything written, without white space around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// The start of [`Pen::text`] that further tokens cannot change.
    pub fn settled(&self) -> &str {
        if self.ended { self.text() } else { settled(self.text.trim_start()) }
    }

    /// Tokens decoded.
    pub fn n_tokens(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Whether the model ended it, and not the token budget.
    pub fn ended(&self) -> bool {
        self.ended
    }
}

/// Tells the units of each asked passage how much of its draft they hold, the question's own words left out.
pub fn measure_drafts(gathered: &mut Gathered, asked: &[Asked], pens: &[Pen]) {
    for (asked, pen) in asked.iter().zip(pens) {
        let said: Vec<String> = crate::gather::terms(pen.text())
            .into_iter()
            .filter(|term| !gathered.question.holds(term))
            .collect();
        for unit in &mut gathered.candidates[asked.candidate].units {
            unit.evidence.draft = support(&said, &unit.terms);
        }
    }
}
