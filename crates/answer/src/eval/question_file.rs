//! A question file: read and held against what a judgement needs, before a model is opened.

use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What questions are counted by. `tests/questions/README.md` says what each means; `record` is a question of
/// `cargo xtask recall`. A question that names none is counted with the others of its sort.
const KINDS: [&str; 5] = ["direct", "paraphrase", "two_documents", UNANSWERABLE, "record"];
/// The kind that no document holds an answer to.
const UNANSWERABLE: &str = "unanswerable";

#[derive(Debug, Clone, Deserialize)]
pub struct EvalQuestion {
    pub id: String,
    #[serde(default)]
    pub split: String,
    #[serde(default)]
    pub kind: String,
    pub question: String,
    #[serde(default)]
    pub accept: Vec<String>,
    #[serde(default)]
    pub accept_also: Vec<String>,
    #[serde(default)]
    pub gold: Vec<Gold>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Gold {
    /// Id or path.
    pub document: String,
    pub quote: String,
    #[serde(default)]
    pub or: Vec<String>,
}

impl EvalQuestion {
    /// The questions of a file's text, of one split if it is named: at least one.
    ///
    /// Errors: [`Error::QuestionFile`], which names the question.
    pub fn read_all(json: &str, split: Option<&str>) -> Result<Vec<Self>> {
        let bad = |detail: String| Error::QuestionFile { detail };
        let mut questions: Vec<Self> = serde_json::from_str(json).map_err(|error| {
            bad(format!("{error}; it is a JSON array of questions, ibid eval --help shows their fields"))
        })?;
        if questions.is_empty() {
            return Err(bad("it holds no questions; write at least one".into()));
        }
        questions.iter().try_for_each(Self::check)?;
        let Some(split) = split else { return Ok(questions) };
        let splits: BTreeSet<String> = questions.iter().map(|question| question.split.clone()).collect();
        questions.retain(|question| question.split == split);
        if questions.is_empty() {
            return Err(bad(format!("no question is of the split {split:?}; there are {splits:?}")));
        }
        Ok(questions)
    }

    fn check(&self) -> Result<()> {
        let Self { id, kind, gold, .. } = self;
        let bad = |detail: String| Err(Error::QuestionFile { detail: format!("question {id:?}: {detail}") });
        match (kind.as_str(), gold.is_empty()) {
            ("", _) | (UNANSWERABLE, true) => Ok(()),
            (UNANSWERABLE, false) => bad(format!("it is {UNANSWERABLE} and has gold; take one of them away")),
            (kind, _) if !KINDS.contains(&kind) => {
                bad(format!("its kind {kind:?} is unknown; give one of {}", KINDS.join(", ")))
            }
            // Without gold it would count as right when it is refused.
            (kind, true) => bad(format!("it is {kind} and has no gold; name the document and the quote")),
            (_, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str, split: Option<&str>) -> String {
        EvalQuestion::read_all(json, split).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_judged_is_refused_by_name() {
        let file = |kind: &str, gold: &str| {
            format!(
                r#"[{{"id": "q7", "split": "tuning", "kind": "{kind}", "question": "?", "gold": [{gold}]}}]"#
            )
        };
        let gold = r#"{"document": "a.md", "quote": "b"}"#;
        for (json, words) in [
            (file("drect", gold), &["q7", "drect", "direct, paraphrase"][..]),
            (file("direct", ""), &["q7", "no gold"]),
            (file("unanswerable", gold), &["q7", "unanswerable"]),
            ("[]".into(), &["no questions"]),
            ("{}".into(), &["JSON array", "ibid eval --help"]),
        ] {
            let said = refused(&json, None);
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
        let said = refused(&file("direct", gold), Some("tunig"));
        assert!(said.contains("tunig") && said.contains("\"tuning\""), "{said}");
        for kind in KINDS.into_iter().filter(|kind| *kind != UNANSWERABLE) {
            assert_eq!(EvalQuestion::read_all(&file(kind, gold), Some("tuning")).unwrap().len(), 1);
        }
        assert_eq!(EvalQuestion::read_all(&file(UNANSWERABLE, ""), None).unwrap()[0].id, "q7");
    }

    #[test]
    fn the_question_set_of_this_project_is_sound() {
        let set = include_str!("../../../../tests/questions/questions.json");
        assert!(EvalQuestion::read_all(set, Some("held_out")).unwrap().len() > 80);
    }
}
