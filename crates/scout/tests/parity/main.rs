//! Parity: the engine against Hugging Face's logits on small checkpoints and on the default model, the fast path
//! against itself and its committed bits, and the models and inputs the engine refuses.
//!
//! `fixtures/generate.py` makes the checkpoints. Tests of the default model need `IBID_TEST_MODEL`, the path of
//! SmolLM2-135M-Instruct.Q4_1.gguf, and say so where it is absent.

mod checkpoints;
mod exact;
mod golden;
mod golden_bits;
mod identity;
mod llama4;
mod llama4_kv;
mod llama4_mutations;
mod llama4_properties;
mod refusals;
mod smollm2;
mod together;
