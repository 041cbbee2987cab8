//! The bounds that the kernel side keeps to. Chosen here, and nowhere else.

/// Longest message head (start line and header section) that is delivered whole, in bytes.
pub const HEAD_MAX: u32 = 16 * 1024;

/// Most bytes of a stream in one [`crate::abi::SegmentRecord`]: a head longer than this comes in
/// several. A power of two, because positions in the window are masked with it.
pub const WINDOW: usize = 2048;

/// Flows that are tracked at once. The least recently used makes room, and is counted.
pub const FLOWS: u32 = 65_536;

/// Processes whose filter verdict is remembered.
pub const PROCESSES: u32 = 32_768;

/// Bytes of the arguments that an exec record carries.
pub const ARGS_MAX: usize = 1024;

/// Bytes of the environment that an exec record carries.
pub const ENV_MAX: usize = 8192;

/// Ports that `--port` can name.
pub const PORTS: usize = 16;

/// cgroups that `--cgroup` can name.
pub const CGROUPS: usize = 8;
