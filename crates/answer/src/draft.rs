//! Draft: what the model writes behind each passage, all passages as one batch, one token per step.

use crate::{Result, gather::Gathered, lexical::support, read::Asked, sentences::repeats};
use scout::{Engine, Sampler, Sampling, Sequence, Step};

/// Words behind one passage.
pub struct Draft {
    pub ids: Vec<u32>,
    pub text: String,
    /// Whether the model ended it, and not the token budget.
    pub stopped: bool,
}

struct Pen {
    sampler: Sampler,
    ids: Vec<u32>,
    done: bool,
    stopped: bool,
}

/// Writes up to `max_tokens` behind each sequence, whose next logits are given; stops a draft that begins to repeat
/// itself, as small models do.
pub fn drafts(
    engine: &Engine,
    sequences: &mut [(Sequence, Vec<f32>)],
    sampling: Sampling,
    max_tokens: u64,
) -> Result<Vec<Draft>> {
    let pen = || Pen { sampler: Sampler::new(sampling), ids: Vec::new(), done: false, stopped: false };
    let mut pens: Vec<Pen> = sequences.iter().map(|_| pen()).collect();
    for _ in 0..max_tokens {
        for (pen, (_, logits)) in pens.iter_mut().zip(sequences.iter()).filter(|(pen, _)| !pen.done) {
            pen.take(engine, logits)?;
        }
        let mut steps = Vec::new();
        let mut running = Vec::new();
        for (i, ((sequence, logits), pen)) in sequences.iter_mut().zip(&pens).enumerate() {
            if let (false, Some(last)) = (pen.done, pen.ids.last()) {
                steps.push(Step { sequence, ids: std::slice::from_ref(last), logits: 0..1, mass: None });
                running.push((i, logits));
            }
        }
        if steps.is_empty() {
            break;
        }
        let decoded = engine.step(&mut steps)?.logits;
        for (row, (_, logits)) in running.into_iter().enumerate() {
            logits.copy_from_slice(decoded.row(row));
        }
    }
    pens.into_iter().map(|pen| pen.draft(engine)).collect()
}

impl Pen {
    /// Takes the next token; marks the draft done at a stop token or a repetition.
    fn take(&mut self, engine: &Engine, logits: &[f32]) -> Result<()> {
        let id = self.sampler.next(logits);
        if engine.stop_ids().contains(&id) {
            (self.done, self.stopped) = (true, true);
            return Ok(());
        }
        self.ids.push(id);
        if let Some(kept) = repeats(&engine.tokenizer().decode(&self.ids)?) {
            // The repeated sentence is not part of the draft.
            while !self.ids.is_empty() && engine.tokenizer().decode(&self.ids)?.chars().count() > kept {
                self.ids.pop();
            }
            (self.done, self.stopped) = (true, true);
        }
        Ok(())
    }

    fn draft(self, engine: &Engine) -> Result<Draft> {
        let text = engine.tokenizer().decode(&self.ids)?.trim().to_owned();
        Ok(Draft { ids: self.ids, text, stopped: self.stopped })
    }
}

/// Tells the units of each asked passage how much of its draft they hold, the question's own words left out.
pub fn measure_drafts(gathered: &mut Gathered, asked: &[Asked], drafts: &[Draft]) {
    for (asked, draft) in asked.iter().zip(drafts) {
        let said: Vec<String> = crate::gather::terms(&draft.text)
            .into_iter()
            .filter(|term| !gathered.question.holds(term))
            .collect();
        for unit in &mut gathered.candidates[asked.candidate].units {
            unit.evidence.draft = support(&said, &unit.terms);
        }
    }
}
