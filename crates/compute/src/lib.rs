//! compute: see ARCHITECTURE.md.
