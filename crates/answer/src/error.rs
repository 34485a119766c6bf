//! Why a question got no answer. "Not in these documents" is an answer, not an error.

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the question is empty; ask something")]
    EmptyQuestion,
    #[error("the question has {tokens} tokens, at most {limit} fit; shorten it")]
    QuestionTooLong { tokens: u64, limit: u64 },
    #[error(
        "{asked} output tokens do not fit: at most {limit} do beside the question in the model's window of {window}; \
         ask for fewer with max_output_tokens (--max-output-tokens)"
    )]
    OutputTooLong { asked: u64, limit: u64, window: u64 },
    #[error(
        "corpus {corpus:?} has nothing to ask yet; add documents first: ibid add {corpus} FILES; if that is under way, ask \
         again later"
    )]
    NothingToAsk { corpus: String },
    #[error(
        "corpus {corpus:?} has nothing to ask yet: its first documents are being read ({progress}); ask again later, \
         ibid jobs shows how far they are"
    )]
    StillReading { corpus: String, progress: String },
    #[error(
        "corpus {corpus:?} was read with model {bound} ({bound_fingerprint}), not with {open}; use that model, \
         or add the documents to a new corpus"
    )]
    OtherModel { corpus: String, bound: String, bound_fingerprint: String, open: String },
    #[error(
        "corpus {corpus:?} keeps {bound} KV, not {open}; repeat with --kv-dtype {bound}, or add the documents to a new corpus"
    )]
    OtherKv { corpus: String, bound: String, open: &'static str },
    #[error(
        "{document} was read with another tokenizer, chat template or numerics than the open model has; read it again \
         with: ibid add CORPUS FILES"
    )]
    OtherRows { document: String },
    #[error(
        "part {part} of {document} cannot be read, although {rebuilds} damaged parts were computed again: {reason}; \
         look at the disk, then run: ibid verify"
    )]
    NotRebuilt { document: String, part: u64, rebuilds: usize, reason: String },
    #[error("segment {segment} of {document} is missing on disk; repeat: ibid add")]
    SegmentMissing { document: String, segment: String },
    #[error(
        "stored rows had to be computed again while the answer was being said, and from the new ones the model would not \
         have said what was heard until then; ask again"
    )]
    SaidOtherwise,
    #[error("answer {answer} cannot be given again: {missing}")]
    CannotReplay { answer: String, missing: String },
    #[error(transparent)]
    Engine(#[from] scout::Error),
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Ingest(#[from] ingest::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error(transparent)]
    Kv(#[from] kv::KvError),
    #[error(transparent)]
    Tokenizer(Box<corpus::tokens::TokenizerError>),
    #[error("{option} is for models that {models}; leave it out")]
    EvalOption { option: &'static str, models: &'static str },
    #[error("--exact cites nothing, so that there is nothing to quote; ask with --mode free")]
    ExactQuote,
    #[error("question file: {detail}")]
    QuestionFile { detail: String },
    #[error("the engine's thread stopped: {0}")]
    Thread(String),
}

impl From<corpus::tokens::TokenizerError> for Error {
    fn from(source: corpus::tokens::TokenizerError) -> Self {
        Self::Tokenizer(Box::new(source))
    }
}

pub type Result<T> = std::result::Result<T, Error>;
