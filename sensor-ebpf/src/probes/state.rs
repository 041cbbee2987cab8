//! What lives in the maps between calls.

use core::mem::size_of;

use super::{call::Registers, kernel::masked};
use sensor_ebpf::{
    abi::{FlowIdent, LineRecord, ProcessRecord, SegmentRecord, UnixPathRecord},
    frame::{Framer, Pairing},
    limits::{ARGS_MAX, ENV_MAX, LINE_WINDOW, WINDOW},
};

/// What is known of the protocol of a flow.
pub(crate) mod protocol {
    use sensor_ebpf::frame::confirmed;

    /// Nothing yet.
    pub(crate) const UNKNOWN: u8 = 0;
    /// A start line of HTTP/1 was seen.
    pub(crate) const HTTP1: u8 = confirmed::HTTP1;
    /// It speaks HTTP/2, by what one direction has shown.
    pub(crate) const HTTP2: u8 = confirmed::HTTP2;
    /// Not ours; the flow is left alone.
    pub(crate) const OTHER: u8 = 3;
}

/// Bits of [`Flow::flags`].
pub(crate) mod flow_flag {
    /// User space has heard of it.
    pub(crate) const REPORTED: u8 = 1;
    /// The connection was reset. Its end is the socket's, which then still had bytes to be read or to
    /// be told of.
    pub(crate) const RESET: u8 = 2;
}

/// A tracked socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) ident: FlowIdent,
    pub(crate) dirs: [Dir; 2],
    pub(crate) pairing: Pairing,
    /// Process of the last call: see [`sensor_ebpf::abi::EndRecord`].
    pub(crate) start_ns: u64,
    pub(crate) execs: u32,
    pub(crate) tgid: u32,
    /// One of [`protocol`].
    pub(crate) protocol: u8,
    /// Bits of [`flow_flag`].
    pub(crate) flags: u8,
    /// Direction of the last call, plus one.
    pub(crate) last_direction: u8,
    /// How often this flow, older than the sensor, did not begin a message where it could have.
    pub(crate) misses: u8,
    /// Fills a word.
    pub(crate) reserved: [u8; 4],
}

impl Flow {
    /// Whether user space has heard of it.
    #[inline(always)]
    pub(crate) fn is_reported(&self) -> bool {
        self.flags & flow_flag::REPORTED != 0
    }
}

/// One direction of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Dir {
    pub(crate) framer: Framer,
    /// Bytes since the flow was first seen.
    pub(crate) position: u64,
    /// Body bytes passed over since the last record.
    pub(crate) skipped: u64,
    /// When the last bytes went by.
    pub(crate) last_ns: u64,
    /// TCP sequence number of the byte at `position`.
    pub(crate) next_seq: u32,
    /// Records the ring could not take since the last one it took.
    pub(crate) lost_records: u32,
}

/// A connection's two ends, local first. The namespace counts for loopback addresses only: others
/// are the same connection seen from two namespaces.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) local: [u8; 16],
    pub(crate) remote: [u8; 16],
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) netns: u32,
}

/// A goroutine that is about to send a request, by way of another.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// The flow, or 0 where nothing has gone by on it.
    pub(crate) flow: u64,
    pub(crate) goroutine: u64,
    pub(crate) parent: u64,
    pub(crate) tgid: u32,
    pub(crate) reserved: u32,
}

/// Where a thread stands in a vector of messages.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Vector {
    pub(crate) messages: u64,
    pub(crate) sock: u64,
    pub(crate) count: u32,
    /// Index of the next message; the top bit says that it may be another.
    pub(crate) next: u32,
}

/// The record being made, and the walk that makes it. The window follows the record, because both
/// go to the ring in one piece.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) record: SegmentRecord,
    /// Twice as long as is used: the verifier knows sizes by their mask.
    pub(crate) window: [u8; 2 * WINDOW + 16],
    pub(crate) path: UnixPathRecord,
    /// The ends of a flow that begins, to look them up.
    pub(crate) ends: Ends,
    /// A flow that begins: all zero but for its identity and protocol.
    pub(crate) fresh: Flow,
    /// The direction's state while the call is walked: the walk is verified by itself, and knows no
    /// flow.
    pub(crate) dir: Dir,
    /// The connection's, likewise.
    pub(crate) pairing: Pairing,
    pub(crate) pairing_before: Pairing,
    /// Where the caller's stack stands, until it is known whose call it is.
    pub(crate) sp: u64,
    /// The socket.
    pub(crate) sock: u64,
    /// 1 where the call's first byte may begin a message of HTTP/1.
    pub(crate) begins: u64,
    /// 1 once user space has heard of the flow.
    pub(crate) reported: u64,
    /// A record is made and not sent yet.
    pub(crate) pending: u64,
    /// An element of the array of parts: base and length.
    pub(crate) part: [u64; 2],
    /// The array of parts, or 0 when `base` is the only one.
    pub(crate) parts: u64,
    pub(crate) part_count: u64,
    pub(crate) part_next: u64,
    /// The current part: what is left of it.
    pub(crate) base: u64,
    pub(crate) left: u64,
    /// The call's bytes that are not walked yet.
    pub(crate) todo: u64,
    /// A body ended in this call, outside of any record. (Not beside `pending`: both are cleared
    /// together, and the compiler would call a function that does it byte by byte.)
    pub(crate) mark: u64,
    /// TCP sequence number of the next byte.
    pub(crate) seq: u32,
    /// How far the window is framed, and how much of it is in use.
    pub(crate) at: u32,
    pub(crate) len: u32,
    pub(crate) reserved: u32,
}

/// A system call, as the engine *syscall* knows it.
#[repr(C)]
pub(crate) struct Call {
    pub(crate) kind: u32,
    pub(crate) direction: u32,
    pub(crate) family: u32,
    pub(crate) reserved: u32,
    pub(crate) registers: Registers,
    pub(crate) sock: u64,
    pub(crate) inode: u64,
    pub(crate) cookie: u64,
    /// Bytes of the messages that are still to come.
    pub(crate) behind: u64,
    /// The caller's stack pointer.
    pub(crate) sp: u64,
    /// 1 where the bytes did not reach the caller's memory.
    pub(crate) discarded: u64,
    /// The `file` that the socket is behind.
    pub(crate) file: u64,
}

/// A write to a log, while it is copied. The window follows the record, as in [`Scratch`].
#[repr(C)]
pub(crate) struct LineScratch {
    pub(crate) record: LineRecord,
    /// Longer than what is used: the verifier knows sizes and places by their masks.
    pub(crate) window: [u8; 3 * LINE_WINDOW],
    /// An element of the array of parts: base and length.
    pub(crate) part: [u64; 2],
    /// The array of parts, or 0 when `base` is the only one.
    pub(crate) parts: u64,
    pub(crate) part_count: u64,
    pub(crate) part_next: u64,
    /// The current part: what is left of it.
    pub(crate) base: u64,
    pub(crate) left: u64,
    /// The call's bytes that are not copied yet, and those that will not be.
    pub(crate) todo: u64,
    pub(crate) beyond: u64,
    /// Bytes in the window.
    pub(crate) len: u64,
    /// The caller's stack pointer.
    pub(crate) sp: u64,
}

/// A file that is no standard output or error, as [`sensor_ebpf::abi::LineRecord`] names it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LineFile {
    pub(crate) inode: u64,
    pub(crate) device: u32,
    pub(crate) generation: u32,
}

#[repr(C)]
pub(crate) struct ExecScratch {
    pub(crate) record: ProcessRecord,
    /// Longer than what is used: the verifier knows sizes by their masks.
    pub(crate) payload: [u8; 2 * ARGS_MAX + 2 * ENV_MAX],
}

impl Ends {
    /// Takes them from `ident`, word by word and in place: the stack has no room for a copy.
    #[inline(always)]
    pub(crate) fn fill(&mut self, ident: &FlowIdent) {
        // 127.0.0.0/8, and ::1 or a mapped 127.0.0.0/8.
        let loopback = ident.local[0] == 127
            || (ident.local[0] == 0 && (ident.local[15] == 1 || ident.local[12] == 127));
        for (from, to) in [(&ident.local, &mut self.local), (&ident.remote, &mut self.remote)] {
            let (from, to) = (from.as_ptr().cast::<u64>(), to.as_mut_ptr().cast::<u64>());
            // SAFETY: 16 bytes each, at offsets that are multiples of eight in both structures.
            unsafe {
                to.write_volatile(from.read_volatile());
                to.add(1).write_volatile(from.add(1).read_volatile());
            }
        }
        self.local_port = ident.local_port;
        self.remote_port = ident.remote_port;
        self.netns = if loopback { ident.netns } else { 0 };
    }

    /// The same as a value.
    #[inline(always)]
    pub(crate) fn of(ident: &FlowIdent) -> Self {
        // SAFETY: plain integers.
        let mut ends: Self = unsafe { core::mem::zeroed() };
        ends.fill(ident);
        ends
    }
}

/// One direction's state.
#[inline(always)]
pub(crate) fn dir(dirs: &mut [Dir; 2], index: usize) -> &mut Dir {
    // SAFETY: the mask leaves 0 and 1, in front of the verifier too.
    unsafe { &mut *dirs.as_mut_ptr().add(masked::<1>(index as u64) as usize) }
}

/// Structures of whole words, without padding, that are copied word by word: for a plain assignment the
/// compiler calls a function that copies byte by byte.
///
/// # Safety
/// Size and alignment are multiples of eight, and all bytes are initialised.
pub(crate) unsafe trait Words: Sized {
    /// How many.
    const COUNT: usize = size_of::<Self>() / 8;
}

// SAFETY: u64s first, then u32s and bytes that fill a word.
unsafe impl Words for FlowIdent {}
// SAFETY: as above.
unsafe impl Words for Dir {}
// SAFETY: two u32s and two u64s.
unsafe impl Words for Pairing {}

/// Zeroes a structure.
#[inline(always)]
pub(crate) fn clear<T: Words>(to: &mut T) {
    let words = core::ptr::from_mut(to).cast::<u64>();
    let mut i = 0;
    while i < T::COUNT {
        // SAFETY: within the structure, by the trait's promise.
        unsafe { core::ptr::write_volatile(words.add(i), 0) };
        i += 1;
    }
}

/// Copies a structure.
#[inline(always)]
pub(crate) fn copy<T: Words>(from: &T, to: &mut T) {
    let from = core::ptr::from_ref(from).cast::<u64>();
    let to = core::ptr::from_mut(to).cast::<u64>();
    let mut i = 0;
    while i < T::COUNT {
        // SAFETY: as above, on both sides.
        unsafe { core::ptr::write_volatile(to.add(i), core::ptr::read_volatile(from.add(i))) };
        i += 1;
    }
}
