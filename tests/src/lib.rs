//! What the end-to-end tests share, and the programs they trace.

pub mod backends;
pub mod bpf;
pub mod calls;
pub mod demo;
pub mod heap;
pub mod load;
