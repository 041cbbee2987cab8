//! What the kernel side and user space share: the records that cross the ring ([`abi`]), the
//! bounds both keep to ([`limits`]), and the pure logic that decides which bytes of a stream are
//! worth copying ([`frame`]).
//!
//! Everything here is plain data and arithmetic: no allocation, no I/O, no panics reachable from
//! the probes. It compiles for the BPF target and for the host, where it is tested.
#![no_std]

pub mod abi;
pub mod frame;
pub mod limits;
