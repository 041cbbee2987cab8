//! What user space tells the programs about a process that runs a program written in Go.

/// Where such a program keeps what the probes read: a value of the map `GO`, by process id. Offsets are in
/// bytes; they depend on the version of Go and of its modules.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct GoProgram {
    /// Where a thread has the address of its current goroutine's `runtime.g`, from its thread pointer.
    pub thread_g: i32,
    /// `runtime.g.goid`, u64.
    pub goid: u16,
    /// `runtime.g.parentGoid`, u64, or 0: before Go 1.21.
    pub parent_goid: u16,
}
