//! Engine *syscall*: the end of every system call, and a walk from its descriptor to the socket.
//! For kernels without the tracepoints of the other engine; every call on the machine pays a little.

use core::{
    mem::transmute,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use sensor_ebpf::abi::{Family, NO_FIELD};

use super::{
    call::{self, Buffers, Direction},
    flow, golang,
    kernel::{Access, Walked, direct, probe},
    maps::{CALLS, setting},
    observe::{self, Event},
    select,
    state::Call,
};

const MSG_OOB: u64 = 1;
const MSG_PEEK: u64 = 2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;
const O_NONBLOCK: u32 = 0o4000;
const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call, whose number means another one.
const TS_COMPAT: u32 = 2;

/// Messages of a vector that are looked at (`UIO_MAXIOV`).
const VECTOR_MAX: u64 = 1024;

/// What a call does with a socket.
mod kind {
    pub(super) const ONE: u32 = 0;
    pub(super) const PARTS: u32 = 1;
    pub(super) const MESSAGE: u32 = 2;
    pub(super) const VECTOR: u32 = 3;
    /// The bytes do not pass through the caller's memory.
    pub(super) const MOVED: u32 = 4;
}

const RECEIVE: u32 = Direction::Receive as u32;
const SEND: u32 = Direction::Send as u32;

// match-proto: void trace_sys_exit(struct pt_regs *regs, long ret)
/// A call is over.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: u64 = ctx.arg(0);
    // SAFETY: a typed argument of the tracepoint.
    let number: u64 = unsafe { direct(regs, setting!(OFFSETS.regs_number)) };
    let Some((kind, direction)) = classify(number as u32) else {
        return 0;
    };
    let result: i64 = ctx.arg(1);
    if result < 0 {
        return 0;
    }
    // Through memory, so that the verifier forgets which of the calls it is: it would go through
    // all that follows once for each of them.
    let Some(call) = CALLS.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's, and no other program's.
    unsafe {
        write_volatile(&raw mut (*call).kind, kind);
        write_volatile(&raw mut (*call).direction, direction);
        write_volatile(&raw mut (*call).registers.number, number as u32);
    }
    ended(regs, result as u64, call);
    0
}

/// The calls that can move bytes of a socket. Most calls on a machine are none of them: they leave
/// here.
#[inline(always)]
fn classify(number: u32) -> Option<(u32, u32)> {
    let is = |candidate: u32| number == candidate;
    if is(setting!(SYSCALLS.read)) || is(setting!(SYSCALLS.recvfrom)) {
        Some((kind::ONE, RECEIVE))
    } else if is(setting!(SYSCALLS.write)) || is(setting!(SYSCALLS.sendto)) {
        Some((kind::ONE, SEND))
    } else if is(setting!(SYSCALLS.readv)) {
        Some((kind::PARTS, RECEIVE))
    } else if is(setting!(SYSCALLS.writev)) {
        Some((kind::PARTS, SEND))
    } else if is(setting!(SYSCALLS.recvmsg)) {
        Some((kind::MESSAGE, RECEIVE))
    } else if is(setting!(SYSCALLS.sendmsg)) {
        Some((kind::MESSAGE, SEND))
    } else if is(setting!(SYSCALLS.recvmmsg)) {
        Some((kind::VECTOR, RECEIVE))
    } else if is(setting!(SYSCALLS.sendmmsg)) {
        Some((kind::VECTOR, SEND))
    } else if is(setting!(SYSCALLS.sendfile)) || is(setting!(SYSCALLS.splice)) {
        Some((kind::MOVED, SEND))
    } else {
        None
    }
}

#[inline(always)]
fn ended(regs: u64, result: u64, call: *mut Call) {
    if !select::current((bpf_get_current_pid_tgid() >> 32) as u32) {
        return;
    }
    // SAFETY: no memory is passed.
    let task = unsafe { bpf_get_current_task() };
    if setting!(OFFSETS.task_compat_status) != NO_FIELD {
        let status: u32 = probe(task, setting!(OFFSETS.task_compat_status));
        if status & TS_COMPAT != 0 {
            return;
        }
    }
    // SAFETY: this CPU's, and valid as long as the map.
    let call = unsafe { &mut *call };
    // Kept there and not on the stack, which is small for so deep a chain of functions.
    let args = &raw mut call.registers.args;
    // SAFETY: typed arguments of the tracepoint, into the map.
    unsafe {
        write_volatile(&raw mut (*args)[0], direct(regs, setting!(OFFSETS.regs_arg0)));
        write_volatile(&raw mut (*args)[1], direct(regs, setting!(OFFSETS.regs_arg1)));
        write_volatile(&raw mut (*args)[2], direct(regs, setting!(OFFSETS.regs_arg2)));
        write_volatile(&raw mut (*args)[3], direct(regs, setting!(OFFSETS.regs_arg3)));
    }
    if golang::is_known() {
        // SAFETY: a typed argument of the tracepoint.
        call.sp = unsafe { direct(regs, setting!(OFFSETS.regs_sp)) };
    }
    // SAFETY: as above.
    let arg = |index: usize| unsafe { read_volatile(&raw const (*args)[index]) };
    // SAFETY: as above.
    let (kind, number, mut direction) = unsafe {
        (
            read_volatile(&raw const call.kind),
            read_volatile(&raw const call.registers.number),
            read_volatile(&raw const call.direction),
        )
    };
    let mut found = socket(task, arg(0), &mut call.file);
    if number == setting!(SYSCALLS.splice) {
        // From its first argument to its third; either can be the socket.
        if found.is_some() {
            direction = RECEIVE;
        } else {
            found = socket(task, arg(2), &mut call.file);
        }
    }
    let Some(Found { sock, inode }) = found else { return };
    let flags = if kind == kind::MESSAGE {
        arg(2)
    } else if kind == kind::VECTOR || number == setting!(SYSCALLS.recvfrom) {
        arg(3)
    } else {
        0
    };
    if direction == RECEIVE && flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) != 0 {
        return;
    }
    let Some(family) = flow::family::<Walked>(sock) else { return };
    call.direction = direction;
    call.family = family as u32;
    call.sock = sock;
    call.inode = inode;
    call.cookie = Walked::sock(sock, setting!(OFFSETS.sk_cookie));
    call.behind = 0;
    // TCP throws the bytes away then, and leaves the buffer as it was.
    call.discarded = u64::from(
        direction == RECEIVE && flags & MSG_TRUNC != 0 && !matches!(family, Family::Unix),
    );
    if kind == kind::VECTOR {
        messages(result);
    } else if result != 0 {
        moved(result, 0, 0);
    } else if direction == RECEIVE && call::wants_bytes(&call.registers) {
        observe::receive_eof(sock, call.cookie, inode, matches!(family, Family::Unix));
    }
}

/// Goes through the messages of a vector, `n` of them done. First it adds up what they have moved: the
/// socket's sequence number is that after all of them.
#[inline(always)]
fn messages(n: u64) {
    let mut i = 0;
    while i < VECTOR_MAX {
        if i >= n || add_len(i) != 0 {
            break;
        }
        i += 1;
    }
    i = 0;
    while i < VECTOR_MAX {
        if i >= n || message(i) != 0 {
            break;
        }
        i += 1;
    }
}

/// What is known of the current call.
#[inline(always)]
fn current() -> Option<&'static mut Call> {
    let call = CALLS.get_ptr_mut(0)?;
    // SAFETY: this CPU's, and no other program's; no caller keeps a reference across another call.
    Some(unsafe { &mut *call })
}

/// Adds what message `index` has moved; 1 on failure. Global: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn add_len(index: u64) -> u64 {
    let Some(call) = current() else { return 1 };
    let (len, _) = call::finished(call.registers.args[1], index);
    call.behind = call.behind.wrapping_add(len);
    0
}

/// Bytes went by in message `index`; 1 on failure. Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn message(index: u64) -> u64 {
    let Some(call) = current() else { return 1 };
    let (len, buffers) = call::finished(call.registers.args[1], index);
    call.behind = call.behind.wrapping_sub(len);
    if len != 0 {
        moved(len, buffers.base, buffers.parts);
    }
    0
}

/// Bytes went by: those of the call, or of one message of its vector, of which the parts are given.
/// Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn moved(len: u64, base: u64, parts: u64) -> u64 {
    let Some(call) = current() else { return 1 };
    // SAFETY: written from values of these types. No branches: each would have the verifier go through
    // all that follows once more.
    let (direction, family) = unsafe {
        (
            transmute::<u32, Direction>(read_volatile(&raw const call.direction)),
            transmute::<u8, Family>(read_volatile(&raw const call.family) as u8),
        )
    };
    let event = Event {
        sock: call.sock,
        len,
        behind: call.behind,
        direction,
        family,
        cookie: call.cookie,
        inode: call.inode,
        turns: setting!(CONFIG.causes) != 0,
    };
    let known = call.discarded == 0;
    let vector = call.kind == kind::VECTOR;
    observe::observe::<Walked>(
        &event,
        || 0,
        || {
            let flags: u32 = probe(call.file, setting!(OFFSETS.file_flags));
            flags & O_NONBLOCK != 0 || call::says_nonblocking(&call.registers)
        },
        |wanted, _| {
            if !known || !wanted {
                Buffers::UNKNOWN
            } else if vector {
                Buffers { base, parts, known: parts != 0, nonblocking: false }
            } else {
                call::plain(&call.registers, direction)
            }
        },
    );
    0
}

pub(crate) struct Found {
    pub(crate) sock: u64,
    pub(crate) inode: u64,
}

/// The socket behind a descriptor of the current task. The file in between goes to memory at once: the stack
/// has no room for one more value.
#[inline(always)]
pub(crate) fn socket(task: u64, fd: u64, file_to: &mut u64) -> Option<Found> {
    let fd = fd & 0xffff_ffff;
    let files: u64 = probe(task, setting!(OFFSETS.task_files));
    let table: u64 = probe(files, setting!(OFFSETS.files_fdt));
    let max: u32 = probe(table, setting!(OFFSETS.fdtable_max_fds));
    if fd >= u64::from(max) {
        return None;
    }
    let array: u64 = probe(table, setting!(OFFSETS.fdtable_fd));
    let file: u64 = probe(array.wrapping_add(fd.wrapping_mul(8)), 0);
    // SAFETY: a reference is valid to write.
    unsafe { write_volatile(file_to, file) };
    let inode: u64 = probe(file, setting!(OFFSETS.file_inode));
    let mode: u16 = probe(inode, setting!(OFFSETS.inode_mode));
    if mode & S_IFMT != S_IFSOCK {
        return None;
    }
    let private: u64 = probe(file, setting!(OFFSETS.file_private_data));
    let sock: u64 = probe(private, setting!(OFFSETS.socket_sk));
    if sock == 0 {
        return None;
    }
    Some(Found { sock, inode: probe(inode, setting!(OFFSETS.inode_ino)) })
}
