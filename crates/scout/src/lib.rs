//! scout: see ARCHITECTURE.md.
