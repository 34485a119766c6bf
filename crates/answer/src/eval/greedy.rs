//! Greedy answers: whether the fast arithmetic writes what the f32 reference writes.
//!
//! Both read the header, the document header, the first passage that was found and the question, computed anew. What the
//! reference then writes is read by the other: their answers are the same exactly when all first choices on the way
//! are, and where one is not the reference's lead over its second choice says how near it was to the other answer.

use super::{ANSWER_TOKENS, fresh, reuse::Read};
use crate::{
    Result,
    gather::Candidate,
    read::{Tail, question_tail},
};
use ingest::Ingest;
use scout::{Question, Sequence, Step, first_and_lead, greedy};
use serde::Serialize;

/// A question's greedy answer by two arithmetics.
#[derive(Debug, Clone, Serialize)]
pub struct GreedyAnswer {
    /// As the reference has it.
    pub text: String,
    pub tokens: u64,
    /// Where the other answer leaves it, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parting: Option<Parting>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Parting {
    /// Tokens that both answers begin with.
    pub after: u64,
    /// What follows them: a token, or what ends an answer.
    pub reference: String,
    pub other: String,
    /// The reference's first choice less its second, nats.
    pub lead: f32,
}

/// `None` when the passage is not stored any more.
pub(super) fn compare(
    ingest: &Ingest,
    reference: &Question<'_>,
    other: &Question<'_>,
    question: &str,
    candidate: &Candidate,
) -> Result<Option<GreedyAnswer>> {
    let Some(ids) = fresh::ids(ingest, candidate)? else { return Ok(None) };
    let (engine, tail) = (reference.engine(), question_tail(reference.engine(), question, &[])?);
    let ends = |id: &u32| engine.stop_ids().contains(id);
    let Read { mut sequence, mut logits } = Read::new(reference, fresh::sequence(reference, &ids)?, &tail)?;
    let (mut choices, mut leads) = (Vec::new(), Vec::new());
    loop {
        let (choice, lead) = first_and_lead(&logits);
        choices.push(choice);
        leads.push(lead);
        if choices.len() == ANSWER_TOKENS || ends(&choice) {
            break;
        }
        logits = step(reference, &mut sequence, choice)?;
    }
    let others = choices_along(other, &ids, &tail, &choices)?;
    let differ = |(choice, other): (&u32, &u32)| choice != other && !(ends(choice) && ends(other));
    let tokenizer = engine.tokenizer();
    let parting = match choices.iter().zip(&others).position(differ) {
        None => None,
        Some(at) => Some(Parting {
            after: at as u64,
            reference: tokenizer.decode(&choices[at..=at])?,
            other: tokenizer.decode(&others[at..=at])?,
            lead: leads[at],
        }),
    };
    choices.pop_if(|last| ends(last));
    Ok(Some(GreedyAnswer { text: tokenizer.decode(&choices)?, tokens: choices.len() as u64, parting }))
}

/// First choices, each behind the answer's tokens before it.
fn choices_along(asking: &Question<'_>, ids: &[u32], tail: &Tail, answer: &[u32]) -> Result<Vec<u32>> {
    let Read { mut sequence, logits } = Read::new(asking, fresh::sequence(asking, ids)?, tail)?;
    let mut choices = vec![greedy(&logits)];
    for &id in &answer[..answer.len() - 1] {
        choices.push(greedy(&step(asking, &mut sequence, id)?));
    }
    Ok(choices)
}

/// Logits behind the token, `[vocab]`.
fn step(asking: &Question<'_>, sequence: &mut Sequence, id: u32) -> Result<Vec<f32>> {
    let step = Step { sequence, ids: &[id], logits: 0..1, mass: None };
    Ok(asking.step(&mut [step])?.logits.row(0).to_vec())
}
