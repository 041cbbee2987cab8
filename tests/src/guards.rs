//! Costs that are counted and not timed, so that they are the same whatever else the machine does:
//! what `cargo xtask guards` holds the sensor to.

pub mod allocations;
pub mod corpus;
pub mod decoders;
pub mod verified;
