//! search: see ARCHITECTURE.md.
