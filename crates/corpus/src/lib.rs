//! corpus: see ARCHITECTURE.md.
