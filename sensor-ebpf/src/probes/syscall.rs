//! Engine *syscall*: the end of every system call, and a walk from its descriptor to the socket.
//! For kernels without the tracepoints of the other engine; every call on the machine pays a little.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task, generated::bpf_loop},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use sensor_ebpf::abi::{Family, KernelCounter, NO_FIELD};

use super::{
    call::{self, Buffers, Direction, Registers},
    flow,
    kernel::{Access, Walked, probe},
    maps::{count, setting},
    observe::{self, Event},
    select,
};

const MSG_OOB: u64 = 1;
const MSG_PEEK: u64 = 2;
const MSG_ERRQUEUE: u64 = 0x2000;
const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call, whose number means another one.
const TS_COMPAT: u32 = 2;

/// Messages of a vector that are looked at (`UIO_MAXIOV`).
const VECTOR_MAX: u32 = 1024;

/// What a call does with a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    Parts,
    Message,
    Vector,
    /// The bytes do not pass through the caller's memory.
    Moved,
}

// match-proto: void trace_sys_exit(struct pt_regs *regs, long ret)
/// A call is over.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: u64 = ctx.arg(0);
    // SAFETY: a typed argument of the tracepoint.
    let number: u64 = unsafe { super::kernel::direct(regs, setting!(OFFSETS.regs_number)) };
    let Some((kind, direction)) = classify(number as u32) else {
        return 0;
    };
    let result: i64 = ctx.arg(1);
    if result < 0 {
        return 0;
    }
    ended(regs, result as u64, number as u32, kind, direction);
    0
}

/// The calls that can move bytes of a socket. Most calls on a machine are none of them: they leave
/// here.
#[inline(always)]
fn classify(number: u32) -> Option<(Kind, Direction)> {
    let is = |candidate: u32| number == candidate;
    if is(setting!(SYSCALLS.read)) || is(setting!(SYSCALLS.recvfrom)) {
        Some((Kind::One, Direction::Receive))
    } else if is(setting!(SYSCALLS.write)) || is(setting!(SYSCALLS.sendto)) {
        Some((Kind::One, Direction::Send))
    } else if is(setting!(SYSCALLS.readv)) {
        Some((Kind::Parts, Direction::Receive))
    } else if is(setting!(SYSCALLS.writev)) {
        Some((Kind::Parts, Direction::Send))
    } else if is(setting!(SYSCALLS.recvmsg)) {
        Some((Kind::Message, Direction::Receive))
    } else if is(setting!(SYSCALLS.sendmsg)) {
        Some((Kind::Message, Direction::Send))
    } else if is(setting!(SYSCALLS.recvmmsg)) {
        Some((Kind::Vector, Direction::Receive))
    } else if is(setting!(SYSCALLS.sendmmsg)) {
        Some((Kind::Vector, Direction::Send))
    } else if is(setting!(SYSCALLS.sendfile)) || is(setting!(SYSCALLS.splice)) {
        Some((Kind::Moved, Direction::Send))
    } else {
        None
    }
}

#[inline(always)]
fn ended(regs: u64, result: u64, number: u32, kind: Kind, direction: Direction) {
    if !select::process((bpf_get_current_pid_tgid() >> 32) as u32) {
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
    // SAFETY: a typed argument of the tracepoint.
    let args: [u64; 4] = unsafe {
        use super::kernel::direct;
        [
            direct(regs, setting!(OFFSETS.regs_arg0)),
            direct(regs, setting!(OFFSETS.regs_arg1)),
            direct(regs, setting!(OFFSETS.regs_arg2)),
            direct(regs, setting!(OFFSETS.regs_arg3)),
        ]
    };
    let mut direction = direction;
    let mut found = socket(task, args[0]);
    if number == setting!(SYSCALLS.splice) {
        // From args[0] to args[2]; either can be the socket.
        if found.is_some() {
            direction = Direction::Receive;
        } else {
            found = socket(task, args[2]);
        }
    }
    let Some(found) = found else { return };
    let receive = matches!(direction, Direction::Receive);
    let flags = match kind {
        Kind::One if number == setting!(SYSCALLS.recvfrom) => args[3],
        Kind::Message => args[2],
        Kind::Vector => args[3],
        Kind::One | Kind::Parts | Kind::Moved => 0,
    };
    if receive && flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) != 0 {
        return;
    }
    let Some(family) = flow::family::<Walked>(found.sock) else {
        return;
    };
    let cookie: u64 = Walked::sock(found.sock, setting!(OFFSETS.sk_cookie));
    let Found { sock, inode } = found;
    if matches!(kind, Kind::Vector) {
        let mut vector =
            Messages { base: args[1], sock, inode, cookie, direction, family, todo: result };
        // SAFETY: the callback has the signature that the helper calls, and gets its own context.
        unsafe { bpf_loop(VECTOR_MAX, message as *mut _, (&raw mut vector).cast(), 0) };
        return;
    }
    if result == 0 {
        // A read of no bytes is the end, unless no bytes were asked for.
        if receive && !(matches!(kind, Kind::One) && args[2] == 0) {
            observe::receive_eof(sock, cookie, inode, matches!(family, Family::Unix));
        }
        return;
    }
    let event = Event { sock, len: result, direction, family, cookie, inode };
    let registers = Registers { number, args };
    observe::observe::<Walked>(&event, || 0, || call::buffers(&registers, direction, sock, result));
}

/// A vector of messages that is being gone through.
struct Messages {
    base: u64,
    sock: u64,
    inode: u64,
    cookie: u64,
    direction: Direction,
    family: Family,
    todo: u64,
}

unsafe extern "C" fn message(index: u64, messages: *mut Messages) -> u64 {
    // SAFETY: `ended` passes its own context, which outlives the loop.
    let messages = unsafe { &*messages };
    if index >= messages.todo {
        return 1;
    }
    let (len, buffers) = call::finished(messages.base, index);
    if len == 0 {
        return 0;
    }
    let event = Event {
        sock: messages.sock,
        len,
        direction: messages.direction,
        family: messages.family,
        cookie: messages.cookie,
        inode: messages.inode,
    };
    observe::observe::<Walked>(&event, || 0, || buffers);
    0
}

struct Found {
    sock: u64,
    inode: u64,
}

/// The socket behind a descriptor of the current task.
#[inline(always)]
fn socket(task: u64, fd: u64) -> Option<Found> {
    let fd = fd & 0xffff_ffff;
    let files: u64 = probe(task, setting!(OFFSETS.task_files));
    let table: u64 = probe(files, setting!(OFFSETS.files_fdt));
    let max: u32 = probe(table, setting!(OFFSETS.fdtable_max_fds));
    if fd >= u64::from(max) {
        return None;
    }
    let array: u64 = probe(table, setting!(OFFSETS.fdtable_fd));
    let file: u64 = probe(array.wrapping_add(fd.wrapping_mul(8)), 0);
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
