//! `Engine`: one opened model with its tokenizer, chat template and header, shared by ingest and answer.

use crate::{
    Error, Result,
    config::{ModelConfig, model_name},
    decode::LOCAL,
    forward::{Model, Run},
    plan::Reach,
    scheduler::Scheduler,
    sequence::Sequence,
    stages::{Stages, Timed},
    template::ChatTemplate,
};
use compute::{Int8, Ops, Reference};
use corpus::tokens::Tokenizer;
use kv::{
    Context, ContextId, Dtype, PAGE_TOKENS, PageBuf, PageOrder, PageShape, RowKind, Segment, SegmentSpec,
    StoredLayer,
};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

/// The instruction every part is computed behind. Changing it makes every segment a miss.
const INSTRUCTION: &str = "Answer the question from the text alone. Use the words of the text. \
                           Give one short sentence.";

/// Which arithmetic runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numerics {
    /// f32 weights, activations and KV: slow, agrees with Hugging Face f32.
    Reference,
    /// int8 activations, 4- or 8-bit weights, int8 KV.
    Fast,
}

/// How to run a model: the arithmetic, and what its KV is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arithmetic {
    pub numerics: Numerics,
    /// `None`: what the numerics prefer, int8 for the fast path and f32 for the reference.
    pub kv_dtype: Option<Dtype>,
    /// Bytes of routed experts kept ready for use; those that are not are read from the model file again.
    pub expert_bytes: u64,
    /// Run a Scout whose RoPE scaling is not the released one.
    pub allow_wrong_rope: bool,
}

impl From<Numerics> for Arithmetic {
    fn from(numerics: Numerics) -> Self {
        Self { numerics, kv_dtype: None, expert_bytes: u64::MAX, allow_wrong_rope: false }
    }
}

/// The fixed opening tokens and what closes a prompt behind the user's words.
pub struct Header {
    pub text: String,
    pub ids: Vec<u32>,
    /// Between the user's words and the answer: end of turn, start of the assistant's.
    pub suffix_ids: Vec<u32>,
    /// `[layers that see everything][pages]`; made when the first sequence begins, so that opening a model packs no
    /// weights.
    pages: OnceLock<Vec<Vec<Arc<PageBuf>>>>,
}

/// Puts the header's tokens behind an empty sequence.
pub(crate) type ReadHeader<'a> = dyn FnMut(&mut Sequence, &[u32]) -> Result<()> + 'a;

pub struct Engine {
    name: String,
    config: ModelConfig,
    fingerprint: weights::Fingerprint,
    tokenizer: Tokenizer,
    header: Header,
    stop_ids: Vec<u32>,
    /// `[n_layers]`
    reaches: Arc<[Reach]>,
    stored_layers: Vec<u32>,
    run: Arc<dyn Run>,
    scheduler: Scheduler,
}

impl Engine {
    /// Opens a GGUF file or a safetensors folder. `fingerprint_cache` keeps the hash of the weights between runs;
    /// `progress` hears of the hashing on first use.
    ///
    /// Errors: [`Error::KvDtype`] for KV that the numerics cannot attend to; whatever is wrong with the model.
    pub fn open(
        path: &Path,
        arithmetic: impl Into<Arithmetic>,
        fingerprint_cache: &Path,
        progress: &mut dyn FnMut(weights::Progress),
    ) -> Result<Self> {
        Self::open_with(path, arithmetic.into(), fingerprint_cache, progress, None)
    }

    /// The same, with a clock around every piece of work.
    pub fn open_timed(
        path: &Path,
        arithmetic: impl Into<Arithmetic>,
        fingerprint_cache: &Path,
        progress: &mut dyn FnMut(weights::Progress),
    ) -> Result<(Self, Arc<Stages>)> {
        let stages = Arc::new(Stages::default());
        let clock = Some(stages.clone());
        Ok((Self::open_with(path, arithmetic.into(), fingerprint_cache, progress, clock)?, stages))
    }

    fn open_with(
        path: &Path,
        arithmetic: Arithmetic,
        fingerprint_cache: &Path,
        progress: &mut dyn FnMut(weights::Progress),
        clock: Option<Arc<Stages>>,
    ) -> Result<Self> {
        let file = Arc::new(weights::Model::open(path)?);
        let config = read_config(&file, arithmetic)?;
        let fingerprint = file.fingerprint(fingerprint_cache, progress)?;
        let in_model = |source| Error::Tokenizer { model: model_name(&file), source: Box::new(source) };
        let tokenizer = Tokenizer::from_model(&file).map_err(in_model)?;
        let template = chat_template(&file)?;
        let (before, after) = template.around_user(INSTRUCTION)?;
        let header = Header {
            ids: tokenizer.encode_prompt(&before).map_err(in_model)?,
            suffix_ids: tokenizer.encode_prompt(&after).map_err(in_model)?,
            text: before,
            pages: OnceLock::new(),
        };
        let run = match clock {
            Some(stages) => load_timed(&file, &config, arithmetic, stages)?,
            None => load_run(&file, &config, arithmetic)?,
        };
        let stop_ids = stop_ids(&file, &tokenizer)?;
        let name = model_name(&file);
        Ok(Self {
            name,
            config,
            fingerprint,
            tokenizer,
            header,
            stop_ids,
            reaches: run.reaches(),
            stored_layers: stored_layers(&run.reaches()),
            scheduler: Scheduler::start(run.clone())?,
            run,
        })
    }

    /// A new sequence that sees the header alone, for callers without a question.
    pub fn sequence(&self) -> Result<Sequence> {
        self.question(LOCAL).sequence()
    }

    /// A new sequence that sees the header alone; `read` puts the header's tokens behind an empty sequence, if it is the
    /// first.
    pub(crate) fn sequence_reading(&self, read: &mut ReadHeader<'_>) -> Result<Sequence> {
        let mut sequence = self.empty_sequence();
        let mut left = self.header.ids.len();
        let header = self.header_pages(read)?;
        for page in 0..header.first().map_or(0, Vec::len) {
            let pages = header.iter().map(|layer| layer[page].clone()).collect();
            sequence.compose(pages, 0..left.min(PAGE_TOKENS), (page * PAGE_TOKENS) as u64);
            left = left.saturating_sub(PAGE_TOKENS);
        }
        Ok(sequence)
    }

    /// Reads the header once. Nobody waits for another's reading, which may be slow or stopped: of two that were made at
    /// once, which are equal, one is kept.
    fn header_pages(&self, read: &mut ReadHeader<'_>) -> Result<&Vec<Vec<Arc<PageBuf>>>> {
        if let Some(pages) = self.header.pages.get() {
            return Ok(pages);
        }
        let mut sequence = self.empty_sequence();
        read(&mut sequence, &self.header.ids)?;
        let (pages, _) = sequence.into_tail();
        let pages = pages.into_iter().map(|layer| layer.into_iter().map(Arc::new).collect()).collect();
        Ok(self.header.pages.get_or_init(|| pages))
    }

    /// A new sequence that sees nothing.
    pub fn empty_sequence(&self) -> Sequence {
        Sequence::new(self.reaches.clone(), self.page_shape(), self.run.kv_dtype())
    }

    /// Layers whose rows are kept on disk: those that see everything. What the others hold ends with its chunk.
    pub fn stored_layers(&self) -> &[u32] {
        &self.stored_layers
    }

    /// Whether questions see all documents at once (native plan), because most layers keep nothing of them; otherwise
    /// passages are chosen.
    pub fn sees_everything(&self) -> bool {
        self.stored_layers.len() < self.config.n_layers
    }

    /// What a part's rows depend on beside its tokens and the KV type. `document_header` is the text its first tokens
    /// were made from.
    pub fn part_context(&self, document_header: &str) -> ContextId {
        let context = Context {
            weights: self.fingerprint.0,
            tokenizer: self.tokenizer.content_hash(),
            header: &self.header.text,
            document_header,
            numerics: self.run.numerics(),
        };
        context.id()
    }

    /// Whether this engine would compute the very rows of `segment`, whose last `own_tokens` tokens are the document's
    /// and whose first are its document header: the same weights, tokenizer, header, numerics and KV type. A segment's
    /// identity says nothing of the layers it holds, and its file may be a stranger's: they have to be this model's.
    pub fn computes(&self, segment: &Segment, own_tokens: u64) -> bool {
        let header_len = segment.n_tokens().saturating_sub(own_tokens) as usize;
        // A document header is cut between characters, so that its tokens spell its text.
        let document_header = self.tokenizer.decode(&segment.tokens()[..header_len]);
        let context = document_header.map(|text| self.part_context(&text));
        context.is_ok_and(|context| context == segment.context())
            && segment.dtype() == self.kv_dtype()
            && segment.layers() == self.isolated_layers()
    }

    /// The segment that `prefill_part(&tokens)` fills. Where a question touches few pages, all layers of one lie
    /// together, so that it is one read; where it walks them all, all pages of a layer do.
    pub fn segment_spec(&self, context: ContextId, tokens: Vec<u32>) -> SegmentSpec {
        SegmentSpec {
            context,
            row_kind: RowKind::Isolated,
            dtype: self.run.kv_dtype(),
            order: if self.sees_everything() { PageOrder::LayerMajor } else { PageOrder::PageMajor },
            layers: self.isolated_layers(),
            tokens,
        }
    }

    /// What a segment of isolated rows holds: all pages of the layers that see everything.
    fn isolated_layers(&self) -> Vec<StoredLayer> {
        let shape = self.page_shape();
        self.stored_layers.iter().map(|&layer| StoredLayer { layer, shape, first_page: 0 }).collect()
    }

    pub fn page_shape(&self) -> PageShape {
        PageShape { n_kv_heads: self.config.n_kv_heads, head_dim: self.config.head_dim }
    }

    /// Bytes that one token's keys and values take on disk, over all layers that are kept.
    pub fn kv_bytes_per_token(&self) -> u64 {
        (self.page_shape().page_bytes(self.kv_dtype()) * self.stored_layers.len() / PAGE_TOKENS) as u64
    }

    pub fn kv_dtype(&self) -> Dtype {
        self.run.kv_dtype()
    }

    pub fn numerics(&self) -> &'static str {
        self.run.numerics()
    }

    /// File or folder name of the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// BLAKE3 of weights and config.
    pub fn fingerprint(&self) -> &weights::Fingerprint {
        &self.fingerprint
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Tokens that end an answer.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    pub(crate) fn run(&self) -> &dyn Run {
        &*self.run
    }
}

fn stored_layers(reaches: &[Reach]) -> Vec<u32> {
    (0u32..).zip(reaches).filter(|(_, reach)| **reach == Reach::Everything).map(|(l, _)| l).collect()
}

pub(crate) fn read_config(file: &weights::Model, arithmetic: Arithmetic) -> Result<ModelConfig> {
    let config = ModelConfig::read(file)?;
    if !arithmetic.allow_wrong_rope {
        config.check_scout_rope()?;
    }
    Ok(config)
}

pub(crate) fn load_run(
    file: &Arc<weights::Model>,
    config: &ModelConfig,
    arithmetic: Arithmetic,
) -> Result<Arc<dyn Run>> {
    match arithmetic.numerics {
        Numerics::Reference => load(file, config, arithmetic, Reference),
        Numerics::Fast => load(file, config, arithmetic, Int8::default()),
    }
}

fn load_timed(
    file: &Arc<weights::Model>,
    config: &ModelConfig,
    arithmetic: Arithmetic,
    stages: Arc<Stages>,
) -> Result<Arc<dyn Run>> {
    match arithmetic.numerics {
        Numerics::Reference => load(file, config, arithmetic, Timed::new(Reference, config.vocab, stages)),
        Numerics::Fast => load(file, config, arithmetic, Timed::new(Int8::default(), config.vocab, stages)),
    }
}

fn load<O: Ops + 'static>(
    file: &Arc<weights::Model>,
    config: &ModelConfig,
    arithmetic: Arithmetic,
    ops: O,
) -> Result<Arc<dyn Run>> {
    let kv = arithmetic.kv_dtype;
    if let (Numerics::Reference, Some(dtype)) = (arithmetic.numerics, kv.filter(|kv| *kv != Dtype::F32)) {
        return Err(Error::KvDtype { numerics: "reference", dtype: dtype.name() });
    }
    Ok(Arc::new(Model::load(file, config, ops, kv, arithmetic.expert_bytes)?))
}

/// From GGUF metadata or `tokenizer_config.json`; a model without one cannot be asked questions.
fn chat_template(file: &weights::Model) -> Result<ChatTemplate> {
    let missing = || Error::MissingField { model: model_name(file), field: "chat template".into() };
    if file.container() == weights::Container::Gguf {
        let source = file.metadata().str("tokenizer.chat_template")?.ok_or_else(missing)?.to_owned();
        let piece = |key: &str| -> Result<String> {
            let Some(id) = file.metadata().u64(key)? else { return Ok(String::new()) };
            let tokens = file.metadata().str_array("tokenizer.ggml.tokens")?.unwrap_or_default();
            Ok(usize::try_from(id).ok().and_then(|id| tokens.get(id)).cloned().unwrap_or_default())
        };
        return Ok(ChatTemplate::new(
            source,
            piece("tokenizer.ggml.bos_token_id")?,
            piece("tokenizer.ggml.eos_token_id")?,
        ));
    }
    let bytes = file.folder_file("tokenizer_config.json")?.ok_or_else(missing)?;
    let json: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|source| Error::ConfigJson { model: model_name(file), source })?;
    // A special token is a string, or an object with its text under `content`.
    let piece = |key: &str| {
        let token = json.get(key);
        let text = token.and_then(|t| t.as_str().or_else(|| t.get("content")?.as_str()));
        text.unwrap_or_default().to_owned()
    };
    let source = match (file.folder_file("chat_template.jinja")?, json.get("chat_template")) {
        (Some(bytes), _) => String::from_utf8_lossy(&bytes).into_owned(),
        (None, Some(serde_json::Value::String(source))) => source.clone(),
        _ => return Err(missing()),
    };
    Ok(ChatTemplate::new(source, piece("bos_token"), piece("eos_token")))
}

/// The ids that end a turn: those the file names, and the usual end-of-turn tokens of the family.
fn stop_ids(file: &weights::Model, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let mut ids: Vec<u32> =
        ["<|im_end|>", "<|eot_id|>", "<|eot|>", "<|eom|>", "<|end_of_text|>", "<|endoftext|>", "</s>"]
            .iter()
            .filter_map(|token| tokenizer.special_id(token))
            .collect();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
        ids.extend(file.metadata().u64(key)?.and_then(|id| u32::try_from(id).ok()));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
