//! Writers of tiny model files.
