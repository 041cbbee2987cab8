//! The bounds that the kernel side keeps to. Chosen here, and nowhere else.

/// Longest message head (start line and header section) that is delivered whole, in bytes.
pub const HEAD_MAX: u32 = 16 * 1024;

/// Most bytes of an HTTP/2 frame that are delivered, where a frame is delivered whole: more than any
/// header block that is decoded. (RFC 9113 section 4.2: 16,384 unless the peer has asked for more.)
pub const FRAME_MAX: u32 = 128 * 1024 + 512;

/// Parts of HTTP/2 payload up to this many bytes are copied rather than passed over: a record of
/// its own for what follows costs more.
pub const PAYLOAD_COPIED: u32 = 128;

/// Prefixes of gRPC messages that are looked for in one DATA frame.
pub const PREFIXES_MAX: u32 = 16;

/// Bytes that are copied of the trailers which gRPC-Web sends as a message.
pub const WEB_TRAILERS_MAX: u32 = 512;

/// Characters of base64 that are copied of a message of gRPC-Web, and of its trailers: where all were seen,
/// messages can be counted for certain.
pub const WEB_TEXT_COPIED: u32 = 2048;

/// Messages of gRPC-Web that are followed in one chunk of an HTTP/1 body, or in a body without chunks. The
/// trailers come last, so more than for HTTP/2: servers collect small messages into chunks of 32 KiB.
pub const WEB_MESSAGES_MAX: u32 = 4096;

/// Most bytes of a stream in one [`crate::abi::SegmentRecord`]: a head longer than this comes in
/// several. A power of two, because positions in the window are masked with it.
pub const WINDOW: usize = 2048;

/// Flows that are tracked at once. The least recently used makes room; user space counts it, and what
/// was in flight on it, when its socket comes up again.
pub const FLOWS: u32 = 65_536;

/// Processes whose filter verdict is remembered.
pub const PROCESSES: u32 = 32_768;

/// The resolution of the time of a process's start in `/proc/PID/stat`, in nanoseconds: `USER_HZ`
/// (include/asm-generic/param.h) is 100 on every machine that the sensor runs on.
pub const START_TICK_NS: u64 = 10_000_000;

/// Threads of which it is known what they act on. The least recently used makes room; of one that is
/// forgotten nothing is told until it has read or waited again.
pub const THREADS: u32 = 16_384;

/// Threads that a process may have beside the one that acts, for it to be known that they slept
/// meanwhile. With more, it is not known: looking costs some 40 ns a thread.
pub const THREADS_ASIDE: u32 = 32;

/// Most bytes of a log that one record has: a call's bytes come in as many as it takes.
pub const LINE_WINDOW: usize = 4096;

/// Bytes that are taken of one write to a log.
pub const LINE_CALL_MAX: u64 = 1 << 20;

/// Files beside standard output and error of which it is remembered whether what is written to them is
/// wanted. The least recently used makes room: it is decided anew when it is written to.
pub const LINE_FILES: u32 = 8192;

/// Processes written in Go whose goroutines are told apart at once.
pub const GO_PROCESSES: u32 = 8192;

/// Connections of Go's HTTP clients that are about to be asked something.
pub const GO_ASKED: u32 = 8192;

/// Bytes of the arguments that an exec record carries.
pub const ARGS_MAX: usize = 1024;

/// Bytes of the environment that an exec record carries.
pub const ENV_MAX: usize = 8192;

/// Ports that `--port` can name.
pub const PORTS: usize = 16;

/// cgroups that `--cgroup` can name.
pub const CGROUPS: usize = 8;
