//! What the end-to-end tests share, and the programs they trace.

pub mod backends;
pub mod demo;
