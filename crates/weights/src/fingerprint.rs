//! What identifies a model's weights.
