//! Question → answer with citations: the last stretch of the data path.
//!
//! [`ask`] in `ask` reads top to bottom: gather the best passages, compose their KV pages, read the question behind
//! them, write or quote an answer, cite and verify, remember. Every number in `usage` comes from a counter.

mod answer;
mod ask;
mod attention;
mod check;
mod choose;
mod cite;
mod compose;
mod draft;
mod error;
mod eval;
mod expected;
mod gather;
mod lexical;
mod native;
mod quote;
mod read;
mod remember;
mod replay;
mod respond;
mod sentences;
mod trie;
mod verify;

pub use answer::{Answer, AnswerSpan, Citation, Grounding, Related, Usage};
pub use ask::{AskEvent, AskRequest, Listener, Mode, Turn, ask, ask_accepted};
pub use attention::{AttentionMap, DocumentTokens};
pub use check::{check, check_model};
pub use choose::{UnitEvidence, Weights};
pub use error::{Error, Result};
pub use eval::{EvalQuestion, EvalReport, Extras, GreedyAnswer, Judged, Parting, evaluate};
pub use replay::{Replay, replay};
pub use verify::{Status, verify};
