//! The user-space half of the sensor. One module per stage of the data's way; data flows down this
//! list, and no stage imports one further down.
//!
//! `capture` → `process` → `stream` → `wire` → `context` → `trace` → `logs` → `govern` → `export`
//!
//! [`model`] holds what comes out (spans, log records, resources), [`metrics`] every counter, [`config`] every
//! setting. Everything between `capture` and `export` is pure: bytes and timestamps in, values out.

pub mod capture;
pub mod cli;
pub mod config;
pub mod context;
pub mod export;
pub mod govern;
pub mod logs;
pub mod metrics;
pub mod model;
pub mod process;
pub mod stream;
pub mod system;
mod table;
pub mod trace;
pub mod wire;
