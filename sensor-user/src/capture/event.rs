//! What every capture source delivers, whatever it read it from: the live kernel, a recording, or
//! a packet capture. All later stages see only these.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::model::Resource;

/// Nanoseconds of the capturing machine's `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

/// One tracking of one socket; never reused within a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(pub u64);

/// Tells a socket from all others that there are at the same time. A flow that begins on the socket
/// of another continues it: the kernel side had to forget that one to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketId {
    /// Its cookie, which no other socket ever had.
    Cookie(u64),
    /// The inode number of its file, which another may get later. Known of sockets without a cookie.
    Inode(NonZeroU64),
}

/// Process (thread group) id in the capturing machine's initial PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tgid(pub u32);

/// A process: ids are used again, so its start time is part of its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessKey {
    /// Its id.
    pub tgid: Tgid,
    /// When it was started.
    pub start: StartTime,
}

/// When a process was started: hundredths of a second since the machine's boot (`CLOCK_BOOTTIME` of
/// the initial time namespace), rounded down. That is what `/proc/PID/stat` shows (`USER_HZ`), so a
/// process is the same one there and in the kernel's records. Ids are given out in turn: none comes
/// round within such a tick. An exec leaves the time as it is. 0 where the source does not know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartTime(pub u64);

impl StartTime {
    /// The source does not know it.
    pub const UNKNOWN: Self = Self(0);

    /// Nanoseconds of one tick.
    pub const TICK_NS: u64 = sensor_ebpf::limits::START_TICK_NS;

    /// That of `task_struct.start_boottime`.
    #[must_use]
    pub const fn of_boottime(ns: u64) -> Self {
        Self(ns / Self::TICK_NS)
    }

    /// The first nanosecond of that tick.
    #[must_use]
    pub const fn boottime(self) -> u64 {
        self.0.saturating_mul(Self::TICK_NS)
    }
}

impl ProcessKey {
    /// The one process of a source that knows none, a packet capture.
    pub const UNKNOWN: Self = Self::undated(0);

    /// A process of a source that does not know when processes were started.
    #[must_use]
    pub const fn undated(tgid: u32) -> Self {
        Self { tgid: Tgid(tgid), start: StartTime::UNKNOWN }
    }
}

/// One thing that was seen, in the order in which it was seen.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Bytes of a direction of a flow.
    Segment(Segment<'a>),
    /// A direction or a flow ended.
    End(End),
    /// The path of a Unix socket's listening side. Comes before the flow's first segment.
    UnixPath {
        /// The flow.
        flow: FlowId,
        /// A file system path, or `@name` for the abstract namespace.
        path: Arc<str>,
    },
    /// Who a process is. Comes before the first segment that names it, and again after an exec.
    Process {
        /// The process.
        process: ProcessKey,
        /// It runs another program than before: the old program's state ends here. Otherwise this
        /// only says who it is, for the first time or again.
        exec: bool,
        /// Its identity.
        resource: Arc<Resource>,
    },
    /// A process ended: what is still open in it will not be answered.
    ProcessExit {
        /// The process.
        process: ProcessKey,
        /// When.
        time: Monotonic,
    },
    /// A stream of HTTP/2 is a certain goroutine's. Comes after the request's head, or before it.
    GoStream(GoStream),
    /// What was written to a file that is neither standard output nor standard error goes to this path.
    /// Comes before the first [`Event::Written`] that names it.
    LogFile {
        /// The file.
        file: FileId,
        /// Its path, as the process that wrote has it.
        path: Arc<str>,
    },
    /// A process has written to its log.
    Written(Written<'a>),
    /// The wall clock, read beside the monotonic one. The first comes before all segments.
    Clock(ClockSync),
    /// Something on Unix sockets may have gone by unseen, and no position tells of it: what is open
    /// on any of them is not to be paired with what comes after this.
    Missed,
}

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSync {
    /// The monotonic clock.
    pub monotonic: Monotonic,
    /// Nanoseconds since the Unix epoch at that moment.
    pub unix_ns: u64,
}

/// Seen from the process: what it receives, what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the process.
    Receive,
    /// Out of the process.
    Send,
}

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Receive => Self::Send,
            Self::Send => Self::Receive,
        }
    }

    /// 0 for receive and 1 for send, as in the records of the kernel.
    pub fn index(self) -> usize {
        match self {
            Self::Receive => 0,
            Self::Send => 1,
        }
    }
}

/// Who a flow is between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// TCP over IPv4 or IPv6.
    Tcp {
        /// This side's address.
        local: (IpAddr, u16),
        /// The other side's.
        remote: (IpAddr, u16),
    },
    /// A Unix stream socket; its path, if there is one, comes as [`Event::UnixPath`].
    Unix,
}

/// The identity of a flow, the same in each of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its identifier.
    pub id: FlowId,
    /// Who it is between.
    pub endpoints: Endpoints,
    /// Inode number of the network namespace; `None` where it is not known.
    pub netns: Option<u32>,
    /// The kernel's socket cookie; `None` where it is not known.
    pub cookie: Option<u64>,
    /// Inode number of the socket's file; `None` where it is not known.
    pub inode: Option<NonZeroU64>,
    /// The connection's first byte was seen.
    pub from_start: bool,
    /// Names the connection of a Unix socket, the same at both ends; `None` where it is not known.
    /// Later connections may have the same name.
    pub unix_connection: Option<NonZeroU64>,
}

impl Flow {
    /// The socket, if it is known.
    #[must_use]
    pub fn socket(&self) -> Option<SocketId> {
        self.cookie.map(SocketId::Cookie).or_else(|| self.inode.map(SocketId::Inode))
    }
}

/// `bytes` of one direction at `position`, then `skipped_after` bytes that the kernel side did not
/// copy because they are body.
///
/// Positions count the direction's bytes since the flow was first seen. If the previous segment of
/// the direction ended at E, then `position == E + skipped_before` unless something was lost; what
/// is missing beyond `skipped_before` is a loss.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// The flow.
    pub flow: Flow,
    /// Which way.
    pub direction: Direction,
    /// When the call completed; its start where `time_is_start`.
    pub time: Monotonic,
    /// `time` is the start of the call.
    pub time_is_start: bool,
    /// The process that called.
    pub process: ProcessKey,
    /// On whose behalf it called.
    pub caller: Caller,
    /// Position of the first of `bytes`.
    pub position: u64,
    /// Body bytes passed over before `position`, since the direction's previous segment.
    pub skipped_before: u64,
    /// What was copied. Empty for a segment that only marks how far a body has come.
    pub bytes: &'a [u8],
    /// Bytes after those that were passed over.
    pub skipped_after: u64,
    /// The bytes passed over after are not known to be body: they could not be read.
    pub unreadable_after: bool,
    /// TCP sequence number of the byte at `position`.
    pub tcp_seq: Option<u32>,
    /// Records of this direction lost in the ring since its previous segment.
    pub lost_records: u32,
    /// The first of `bytes` is the first byte of an HTTP/2 frame (or of the client's preface), by who
    /// walked all frames before it without a gap. False where that is not known.
    pub frame_start: bool,
    /// The head in `bytes` is cut: it went over the kernel side's limit.
    pub head_too_large: bool,
}

/// Who made a call, within the process, and upon what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Thread id in the capturing machine's initial PID namespace; 0 where it is not known.
    pub tid: u32,
    /// The goroutine that the call is for, in a program in Go.
    pub goroutine: Option<Goroutine>,
    /// That goroutine did not make the call itself, but asked for it.
    pub asked: bool,
    /// The call was not to wait for the socket.
    pub nonblocking: bool,
    /// The thread waits for several descriptors at once: it serves more than one exchange at a time.
    pub multiplexes: bool,
    /// What the thread acted on when it sent this. Always `None` where it received.
    pub cause: Option<Cause>,
}

/// A goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Goroutine {
    /// Its number, never reused in a process.
    pub id: NonZeroU64,
    /// The one that started it.
    pub parent: Option<NonZeroU64>,
}

/// What a thread read before it sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Where it was read.
    pub flow: FlowId,
    /// Where that flow's received direction stood after that.
    pub position: u64,
    /// It was all that there was since the thread last waited. Otherwise it was the last thing the
    /// thread had taken up, with nothing else in between.
    pub alone: bool,
}

/// One write to a log, or a part of one.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// When the call completed.
    pub time: Monotonic,
    /// The process that wrote.
    pub process: ProcessKey,
    /// Who wrote there, and upon what: `nonblocking` and `asked` are never set.
    pub caller: Caller,
    /// What was written to.
    pub file: FileId,
    /// What that is to the process.
    pub stream: LogStream,
    /// What was written.
    pub bytes: &'a [u8],
    /// `bytes` go on where the writer's part before ended: both are parts of one call.
    pub continues: bool,
    /// Bytes after those that were written too, and are lost.
    pub lost_after: u32,
    /// Records of what was written, by whatever process, that the ring could not take until now. Where it
    /// is more than with the writer's last one, something may be missing in between.
    pub lost_records: u64,
}

/// A file, pipe or terminal: no other is the same as long as it is there, and hardly one afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// `s_dev` of its file system, as the kernel has it.
    pub device: u32,
    /// Its inode's number.
    pub inode: u64,
    /// Tells files apart that had the same inode one after the other.
    pub generation: u32,
}

/// What a process writes its log to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Its standard output.
    Stdout,
    /// Its standard error, unless that is the same.
    Stderr,
    /// Another file; [`Event::LogFile`] names it.
    File,
}

/// A stream of HTTP/2 and its goroutine: the one that handles it, or that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoStream {
    /// When this was seen.
    pub time: Monotonic,
    /// The process.
    pub process: ProcessKey,
    /// The connection.
    pub flow: FlowId,
    /// The stream's number there.
    pub stream: u32,
    /// Its goroutine.
    pub goroutine: Goroutine,
}

/// The end of a direction or of the flow.
#[derive(Clone, Debug)]
pub struct End {
    /// The flow.
    pub flow: Flow,
    /// When.
    pub time: Monotonic,
    /// The process of the flow's last call.
    pub process: ProcessKey,
    /// The process has read the end of what it receives.
    pub receive_eof: bool,
    /// Nothing more will be sent.
    pub send_eof: bool,
    /// The connection is gone; nothing of this flow follows.
    pub closed: bool,
    /// The connection ended in an error (reset, time-out).
    pub error: bool,
    /// Where each direction stands (indexed by [`Direction::index`]).
    pub position: [u64; 2],
    /// Body bytes passed over since each direction's last segment.
    pub skipped: [u64; 2],
    /// When each direction's last bytes went by; `None` if none did.
    pub last: [Option<Monotonic>; 2],
    /// Records of each direction lost in the ring since its last segment.
    pub lost_records: [u32; 2],
}
