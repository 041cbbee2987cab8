//! The buffers of the current system call.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use sensor_ebpf::abi::KernelCounter;

use super::{
    maps::{VECTORS, count, setting},
    state::Vector,
};

/// Which way a call moves bytes, as records have it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Direction {
    Receive = 0,
    Send = 1,
}

/// Where a call's bytes are, in the caller's memory.
#[derive(Clone, Copy)]
pub(crate) struct Buffers {
    /// The buffer; or an array of `iovec` when `parts` is not 0.
    pub(crate) base: u64,
    /// Elements of that array.
    pub(crate) parts: u64,
    /// False: the bytes are not in the caller's memory (sendfile, splice, io_uring).
    pub(crate) known: bool,
    /// The call itself says that it is not to wait. Not always looked at.
    pub(crate) nonblocking: bool,
}

impl Buffers {
    pub(crate) const UNKNOWN: Self = Self { base: 0, parts: 0, known: false, nonblocking: false };

    #[inline(always)]
    const fn one(base: u64) -> Self {
        Self { base, parts: 0, known: true, nonblocking: false }
    }

    #[inline(always)]
    const fn many(base: u64, parts: u64) -> Self {
        Self { base, parts, known: parts != 0, nonblocking: false }
    }
}

/// The current call's number and first arguments.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    pub(crate) number: u32,
    pub(crate) args: [u64; 4],
}

/// `struct user_msghdr` (include/linux/socket.h), as far as it is needed.
#[repr(C)]
#[derive(Clone, Copy)]
struct MsgHdr {
    name: u64,
    name_len: u64,
    iov: u64,
    iov_len: u64,
}

/// Size of `struct mmsghdr`: a `user_msghdr` of 56 bytes, the length, and padding.
const MMSGHDR: u64 = 64;

/// Most parts of a vector (`UIO_MAXIOV`).
const PARTS_MAX: u64 = 1024;

/// Where its `msg_len` is.
const MMSGHDR_LEN: u64 = 56;

/// Finds the buffers for a socket event in the call that caused it. Bytes went by unseen just before if
/// it `jumped`.
#[inline(always)]
pub(crate) fn buffers(
    regs: &Registers,
    direction: Direction,
    sock: u64,
    result: u64,
    jumped: bool,
) -> Buffers {
    if is_vector(regs.number) {
        vector(regs.args[1], regs.args[2], direction, sock, result, jumped)
    } else {
        plain(regs, direction)
    }
}

/// The buffers of a call that takes no vector of messages.
#[inline(always)]
pub(crate) fn plain(regs: &Registers, direction: Direction) -> Buffers {
    let number = regs.number;
    let is = |send: u32, receive: u32| {
        number == if matches!(direction, Direction::Send) { send } else { receive }
    };
    if is(setting!(SYSCALLS.write), setting!(SYSCALLS.read))
        || is(setting!(SYSCALLS.sendto), setting!(SYSCALLS.recvfrom))
    {
        Buffers::one(regs.args[1])
    } else if is(setting!(SYSCALLS.writev), setting!(SYSCALLS.readv)) {
        Buffers::many(regs.args[1], regs.args[2])
    } else if is(setting!(SYSCALLS.sendmsg), setting!(SYSCALLS.recvmsg)) {
        message(regs.args[1])
    } else if number == setting!(SYSCALLS.sendfile) || number == setting!(SYSCALLS.splice) {
        Buffers::UNKNOWN
    } else if number == setting!(SYSCALLS.io_uring_enter) {
        count(KernelCounter::CallsIoUring, 1);
        Buffers::UNKNOWN
    } else {
        count(KernelCounter::CallsUnknown, 1);
        Buffers::UNKNOWN
    }
}

/// The buffers of a `msghdr`.
#[inline(always)]
pub(crate) fn message(header: u64) -> Buffers {
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user(header as *const MsgHdr) } {
        Ok(header) => Buffers::many(header.iov, header.iov_len),
        Err(_) => Buffers::UNKNOWN,
    }
}

/// The buffers of the message of a vector that this event is about.
///
/// The kernel handles the messages in order, one event each, and the event does not say which. The
/// place is kept for each thread; it is taken as another call's, and begins anew, unless vector,
/// socket and length agree. A `sendmmsg` stops after a message that went out in part; a `recvmmsg`
/// goes on after one that came in part, until it fails. Where an event may be missing (the kernel leaves
/// out runs), nothing is known of the rest: after at most as many events as there can be of it, the
/// count begins anew.
#[inline(always)]
fn vector(
    messages: u64,
    count: u64,
    direction: Direction,
    sock: u64,
    result: u64,
    jumped: bool,
) -> Buffers {
    /// Beside the index: an event is missing.
    const LOST: u64 = 1 << 31;
    if count == 1 {
        return message(messages);
    }
    let thread = bpf_get_current_pid_tgid();
    let mut lost = if jumped { LOST } else { 0 };
    let mut index = 0;
    if let Some(vector) = VECTORS.get_ptr(thread) {
        // SAFETY: a live map value, written by this thread only.
        let vector = unsafe { *vector };
        if vector.messages == messages && vector.sock == sock && u64::from(vector.count) == count {
            index = u64::from(vector.next) & !LOST;
            lost |= u64::from(vector.next) & LOST;
        }
    }
    let entry = messages.wrapping_add(index.wrapping_mul(MMSGHDR));
    let buffers = if lost == 0 { message(entry) } else { Buffers::UNKNOWN };
    let next = index.wrapping_add(1);
    let short = matches!(direction, Direction::Send) && lost == 0 && result < size(&buffers);
    if next >= count || short {
        let _ = VECTORS.remove(thread);
    } else {
        let vector = Vector { messages, sock, count: count as u32, next: (next | lost) as u32 };
        let _ = VECTORS.insert(thread, vector, 0);
    }
    buffers
}

/// Room in all parts; 0 where there are none.
#[inline(always)]
fn size(buffers: &Buffers) -> u64 {
    room(buffers.base, buffers.parts)
}

/// The same. Global: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn room(base: u64, parts: u64) -> u64 {
    let mut sum = 0u64;
    let mut i = 0;
    while i < PARTS_MAX {
        if i >= parts {
            break;
        }
        let at = base.wrapping_add(i.wrapping_mul(16));
        // SAFETY: the helper checks the address.
        let Ok([_, len]) = (unsafe { bpf_probe_read_user(at as *const [u64; 2]) }) else {
            break;
        };
        sum = sum.wrapping_add(len);
        i += 1;
    }
    sum
}

/// Whether a call that received nothing had asked for something: then it has read the end.
#[inline(always)]
pub(crate) fn wants_bytes(regs: &Registers) -> bool {
    let number = regs.number;
    if number == setting!(SYSCALLS.read) || number == setting!(SYSCALLS.recvfrom) {
        regs.args[2] != 0
    } else if number == setting!(SYSCALLS.readv) {
        size(&Buffers::many(regs.args[1], regs.args[2])) != 0
    } else if number == setting!(SYSCALLS.recvmsg) {
        size(&message(regs.args[1])) != 0
    } else {
        true
    }
}

/// Whether the call itself says that it is not to wait.
#[inline(always)]
pub(crate) fn says_nonblocking(regs: &Registers) -> bool {
    const MSG_DONTWAIT: u64 = 0x40;
    let number = regs.number;
    let is = |candidate: u32| number == candidate;
    let flags = if is(setting!(SYSCALLS.sendmsg)) || is(setting!(SYSCALLS.recvmsg)) {
        regs.args[2]
    } else if is(setting!(SYSCALLS.sendto)) || is(setting!(SYSCALLS.recvfrom)) || is_vector(number)
    {
        regs.args[3]
    } else {
        0
    };
    flags & MSG_DONTWAIT != 0
}

/// Whether a call takes a vector of messages: each of its events has to be counted.
#[inline(always)]
pub(crate) fn is_vector(number: u32) -> bool {
    number == setting!(SYSCALLS.sendmmsg) || number == setting!(SYSCALLS.recvmmsg)
}

/// An event of no bytes, or a failed one, ends the vector that its thread is in.
#[inline(always)]
pub(crate) fn failed(number: u32) {
    if is_vector(number) {
        let _ = VECTORS.remove(bpf_get_current_pid_tgid());
    }
}

/// The bytes that entry `index` of a vector has moved, and its buffers, once the call is over.
#[inline(always)]
pub(crate) fn finished(messages: u64, index: u64) -> (u64, Buffers) {
    let entry = messages.wrapping_add(index.wrapping_mul(MMSGHDR));
    // SAFETY: the helper checks the address.
    let len = unsafe { bpf_probe_read_user(entry.wrapping_add(MMSGHDR_LEN) as *const u32) };
    (u64::from(len.unwrap_or(0)), message(entry))
}
