//! The application binary interface between the BPF programs and user space.
//!
//! Rules: `#[repr(C)]`, integers and byte arrays only, explicit padding, sizes asserted at compile
//! time. Native byte order (both sides run on one machine; recordings say which). Enumerations
//! cross as integers and are validated by the reader.

#[macro_use]
mod record;
mod config;
mod counters;
mod golang;
mod line;

pub use config::{Config, NO_FIELD, Offsets, Syscalls, TurnCalls, Verdict, mode, turn_call};
pub use counters::{KERNEL_COUNTERS, KernelCounter};
pub use golang::{GoProgram, GoStreamProbe, GoStreams};
pub use line::{LineRecord, line_flag, line_stream, lines};
pub use record::{
    EndRecord, Family, FlowIdent, GoStreamRecord, ProcessRecord, RecordKind, SegmentRecord,
    UnixPathRecord, end_flag, process_flag, segment_flag,
};

/// Counts up with every change of a record, of [`Config`] or of [`Offsets`]; recordings carry it.
pub const ABI_VERSION: u32 = 4;
