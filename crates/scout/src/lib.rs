//! The Scout engine: a model's config becomes a layer plan, `forward` runs it over batches of sequences, `prefill`
//! turns a part of a document into KV pages, `decode` turns composed pages and a question into answer tokens,
//! `scheduler` lets all running questions share forward passes and keeps prefill out of their way.
//!
//! Read `forward` first; it is the architecture diagram. No file I/O but through `weights` and `kv`.

mod bare;
mod config;
mod decode;
mod engine;
mod error;
mod exact;
mod footprint;
mod forward;
mod load;
mod plan;
mod prefill;
mod related;
mod rope;
mod sampler;
mod scheduler;
mod sequence;
mod stages;
mod stream;
mod template;
mod top_pages;
mod walk;

pub use bare::{Bare, fast_logits_on, logits_of};
pub use config::{Experts, Llama4, ModelConfig, RopeScaling, Temperature};
pub use decode::{Decoding, Finish, Step};
pub use engine::{Arithmetic, Engine, Header, Numerics};
pub use error::{Error, Result};
pub use exact::ExactPart;
pub use footprint::{Chunked, FeedForward, KvFormat, ModelShape, WeightFormat};
pub use forward::{Batch, Mass, Run};
pub use plan::{LayerPlan, Reach};
pub use prefill::{Control, PartPages, Progress};
pub use sampler::{Sampler, Sampling, first_and_lead, greedy, log_prob};
pub use scheduler::{Cancel, Question};
pub use sequence::{Composed, Sequence};
pub use stages::{Stage, StageWork, Stages};
pub use stream::{Stream, StreamMass};
pub use template::{ChatTemplate, Message};
