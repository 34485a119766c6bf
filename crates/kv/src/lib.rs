//! kv: see ARCHITECTURE.md.
