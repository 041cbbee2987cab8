//! Engine *socket*: tracepoints at the end of every send and receive (Linux 6.3+).

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_current_task_btf, bpf_get_socket_cookie, bpf_task_pt_regs},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use sensor_ebpf::abi::{Family, NO_FIELD};

use super::{
    call::{self, Buffers, Direction, Registers},
    flow,
    kernel::{Access, Process, Typed, direct},
    maps::setting,
    observe::{self, Event},
    select,
};

const MSG_OOB: i32 = 1;
const MSG_PEEK: i32 = 2;
const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: i32 = 0x40;
const MSG_ERRQUEUE: i32 = 0x2000;
const O_NONBLOCK: u32 = 0o4000;

/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call.
const TS_COMPAT: u32 = 2;

// match-proto: void trace_sock_send_length(struct sock *sk, int ret, int flags)
/// Bytes went out.
#[btf_tracepoint(function = "sock_send_length")]
pub(crate) fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    moved(&ctx, Direction::Send);
    0
}

// match-proto: void trace_sock_recv_length(struct sock *sk, int ret, int flags)
/// Bytes came in.
#[btf_tracepoint(function = "sock_recv_length")]
pub(crate) fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    moved(&ctx, Direction::Receive);
    0
}

/// Does nothing: the floor that the cost of the programs above is measured from.
#[btf_tracepoint(function = "sock_send_length")]
pub(crate) fn baseline_send(_: BtfTracePointContext) -> i32 {
    0
}

/// The same for receives.
#[btf_tracepoint(function = "sock_recv_length")]
pub(crate) fn baseline_recv(_: BtfTracePointContext) -> i32 {
    0
}

#[inline(always)]
fn moved(ctx: &BtfTracePointContext, direction: Direction) {
    let sock: u64 = ctx.arg(0);
    let result: i32 = ctx.arg(1);
    let flags: i32 = ctx.arg(2);
    let receive = matches!(direction, Direction::Receive);
    if receive && flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) != 0 {
        return;
    }
    if !select::process((bpf_get_current_pid_tgid() >> 32) as u32, Process::typed) {
        return;
    }
    let Some(family) = flow::family::<Typed>(sock) else {
        return;
    };
    let cookie: u64 = Typed::sock(sock, setting!(OFFSETS.sk_cookie));
    if result <= 0 {
        let regs = registers();
        call::failed(regs.number);
        if result == 0 && receive && call::wants_bytes(&regs) {
            observe::receive_eof(sock, cookie, 0, matches!(family, Family::Unix));
        }
        return;
    }
    // TCP throws the bytes away then, and leaves the buffer as it was.
    let discarded = receive && flags & MSG_TRUNC != 0 && !matches!(family, Family::Unix);
    let len = result as u64;
    let event = Event { sock, len, behind: 0, direction, family, cookie, inode: 0, turns: turns() };
    observe::observe::<Typed>(
        &event,
        // SAFETY: the helper takes a typed socket.
        || unsafe { bpf_get_socket_cookie(sock as *mut _) },
        || nonblocking(sock, flags),
        |wanted, jumped| {
            let regs = registers();
            if !wanted && !call::is_vector(regs.number) {
                return Buffers::UNKNOWN;
            }
            let buffers = call::buffers(&regs, direction, sock, len, jumped);
            let nonblocking = !receive && call::says_nonblocking(&regs);
            Buffers { nonblocking, ..if discarded { Buffers::UNKNOWN } else { buffers } }
        },
    );
}

/// Whether the call is not to wait for the socket. The tracepoint has the flags of receives, those that
/// come of the file included; of sends it has none, so the file is asked.
#[inline(always)]
fn nonblocking(sock: u64, flags: i32) -> bool {
    if flags & MSG_DONTWAIT != 0 {
        return true;
    }
    if setting!(OFFSETS.sk_socket) == NO_FIELD
        || setting!(OFFSETS.socket_file) == NO_FIELD
        || setting!(OFFSETS.file_flags) == NO_FIELD
    {
        return false;
    }
    let socket: u64 = Typed::sock(sock, setting!(OFFSETS.sk_socket));
    // SAFETY: typed by the verifier; where there is no file (a socket of the kernel's) zero is read.
    unsafe {
        let file: u64 = direct(socket, setting!(OFFSETS.socket_file));
        let flags: u32 = direct(file, setting!(OFFSETS.file_flags));
        flags & O_NONBLOCK != 0
    }
}

/// Whether it is known what the current thread acts on: where that is wanted, and the system call is not
/// a 32-bit one.
#[inline(always)]
fn turns() -> bool {
    if setting!(CONFIG.causes) == 0 {
        return false;
    }
    if setting!(OFFSETS.task_compat_status) == NO_FIELD {
        return true;
    }
    // SAFETY: the helper returns a typed pointer.
    let status: u32 =
        unsafe { direct(bpf_get_current_task_btf() as u64, setting!(OFFSETS.task_compat_status)) };
    status & TS_COMPAT == 0
}

/// The registers with which the current task entered the kernel.
#[inline(always)]
fn registers() -> Registers {
    // SAFETY: the helpers return typed pointers, which are only read through.
    unsafe {
        let regs = bpf_task_pt_regs(bpf_get_current_task_btf()) as u64;
        Registers {
            number: direct::<u64>(regs, setting!(OFFSETS.regs_number)) as u32,
            args: [
                direct(regs, setting!(OFFSETS.regs_arg0)),
                direct(regs, setting!(OFFSETS.regs_arg1)),
                direct(regs, setting!(OFFSETS.regs_arg2)),
                direct(regs, setting!(OFFSETS.regs_arg3)),
            ],
        }
    }
}
