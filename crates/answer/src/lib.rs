//! answer: see ARCHITECTURE.md.
