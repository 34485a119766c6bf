//! weights: see ARCHITECTURE.md.
