//! Goroutines: on whose behalf a Go program makes a call.
//!
//! Every record tells which goroutine made its call. Where another one does that for those that ask (the
//! clients of net/http and gRPC write from a goroutine of the connection; a server of HTTP/2 reads on one
//! and handles on others), a probe in the program tells who is behind it: user space attaches these few.

use core::mem::size_of;

use aya_ebpf::{
    EbpfContext as _,
    bindings::pt_regs,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_user,
    },
    macros::uprobe,
    programs::ProbeContext,
};
use sensor_ebpf::abi::{
    Family, GoProgram, GoStreamProbe, GoStreamRecord, GoStreams, KernelCounter, NO_FIELD,
    RecordKind, segment_flag,
};

use super::{
    call::Direction,
    emit, flow,
    kernel::{Access as _, Process, Walked, masked, probe},
    maps::{ASKED, GO, SCRATCH, count, setting},
    state::{Asked, Scratch, protocol},
    syscall::{self, Found},
};

/// A goroutine, and the one that started it; 0 where it is not known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Goroutine {
    pub(crate) id: u64,
    pub(crate) parent: u64,
}

/// Whether this machine lets us find goroutines.
#[inline(always)]
pub(crate) fn is_known() -> bool {
    setting!(OFFSETS.task_fsbase) != NO_FIELD && setting!(OFFSETS.regs_sp) != NO_FIELD
}

/// The goroutine that the current thread runs, which has its stack pointer at `sp`.
///
/// A thread's `g` may be one of the runtime's own (`g0`, without a number), and that of a thread which is
/// in C code, or of a program that is not what its executable seemed to be, may be anything: what has `sp`
/// in its stack is taken, and nothing else.
#[inline(always)]
pub(crate) fn current(program: &GoProgram, sp: u64) -> Goroutine {
    // SAFETY: no memory is passed.
    let task = unsafe { bpf_get_current_task() };
    let pointer: u64 = probe(task, setting!(OFFSETS.task_fsbase));
    let Some(g) = user::<u64>(pointer.wrapping_add_signed(i64::from(program.thread_g))) else {
        return Goroutine::default();
    };
    // `runtime.g` begins with its stack's bounds: they are known to the compiler and the linker, and have
    // never been elsewhere.
    let Some([low, high]) = user::<[u64; 2]>(g) else { return Goroutine::default() };
    if sp < low || sp >= high {
        return Goroutine::default();
    }
    let id = user(g.wrapping_add(u64::from(program.goid))).unwrap_or(0);
    let parent = if program.parent_goid == 0 {
        0
    } else {
        user(g.wrapping_add(u64::from(program.parent_goid))).unwrap_or(0)
    };
    Goroutine { id, parent }
}

/// Reads the memory of the current process.
#[inline(always)]
pub(crate) fn user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Fills in whose call it is, once for all records of the call of this direction. Global: see
/// [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn whose_call(direction: u64) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(masked::<1>(direction) as u32) else { return 1 };
    // SAFETY: this CPU's, and this direction's; the caller keeps no reference across this call.
    let scratch = unsafe { &mut *scratch };
    let sp = scratch.sp;
    scratch.sp = 0;
    let Some(program) = GO.get_ptr(scratch.record.tgid) else { return 0 };
    // SAFETY: a live map value; user space replaces it as a whole, and only when another program runs.
    let program = unsafe { &*program };
    if program.round_trip != 0 && direction == Direction::Send as u64 && who_asked(scratch) {
        return 0;
    }
    let Goroutine { id, parent } = current(program, sp);
    scratch.record.goroutine = id;
    scratch.record.goroutine_parent = parent;
    0
}

/// Takes down who asked for what is sent, if a probe has seen it.
#[inline(always)]
fn who_asked(scratch: &mut Scratch) -> bool {
    if scratch.begins == 0 {
        return false;
    }
    let Some(asked) = ASKED.get_ptr(scratch.sock) else { return false };
    // SAFETY: a live map value; nobody else changes it while its request is being sent.
    let Asked { flow, goroutine, parent, tgid, .. } = unsafe { *asked };
    let _ = ASKED.remove(scratch.sock);
    // What was said of a TCP socket is gone with the socket; there is no such end of a Unix socket.
    let same = flow == scratch.record.ident.flow
        || (flow == 0 && scratch.record.ident.family != Family::Unix as u8);
    if !same || tgid != scratch.record.tgid {
        return false;
    }
    scratch.record.goroutine = goroutine;
    scratch.record.goroutine_parent = parent;
    scratch.record.flags |= segment_flag::GOROUTINE_ASKED;
    true
}

/// The same, where it is not done yet and there is something to know.
#[inline(always)]
pub(crate) fn fill(sp: u64, direction: u8) {
    if is_known() && sp != 0 {
        whose_call(u64::from(direction));
    }
}

/// What a probe knows when its function is entered. Go passes integers and pointers in these registers
/// since 1.17 (src/cmd/compile/abi-internal.md).
struct Entry {
    tgid: u32,
    sp: u64,
    ip: u64,
    /// AX, BX, CX, DI.
    args: [u64; 4],
}

impl Entry {
    #[inline(always)]
    fn of(ctx: &ProbeContext) -> Self {
        // SAFETY: the context is the registers, and the verifier checks each access.
        let regs = unsafe { &*ctx.as_ptr().cast::<pt_regs>() };
        Self {
            tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
            sp: regs.rsp,
            ip: regs.rip,
            args: [regs.rax, regs.rbx, regs.rcx, regs.rdi],
        }
    }
}

/// Offset of the first method in an `internal/abi.ITab`, behind two pointers and a hash.
const ITAB_METHODS: u64 = 24;

/// Offset of the descriptor in a `net.netFD`: `pfd.Sysfd`, which lies behind a lock of 16 bytes.
const NETFD_SYSFD: u64 = 16;

/// The first method of what an interface holds, in the order of their names.
#[inline(always)]
fn first_method(itab: u64) -> Option<u64> {
    user(itab.wrapping_add(ITAB_METHODS))
}

/// The socket of the `net.Conn` at this address; none if it is not one of TCP or Unix, or just around such. `bias` is
/// how far from its addresses the program is loaded.
#[inline(always)]
fn socket_of(program: &GoProgram, bias: u64, conn: u64) -> Option<Found> {
    let [itab, mut data] = user::<[u64; 2]>(conn)?;
    let mut close = first_method(itab)?.wrapping_sub(bias);
    if program.wrapper_close != 0 && close == program.wrapper_close {
        let [itab, wrapped] = user::<[u64; 2]>(data)?;
        data = wrapped;
        close = first_method(itab)?.wrapping_sub(bias);
    }
    let [tcp, unix] = program.conn_close;
    if close == 0 || (close != tcp && close != unix) {
        return None;
    }
    // Both begin with a `net.conn`, whose only field is the pointer to the `netFD`.
    let descriptor: u64 = user(data)?;
    let number: i64 = user(descriptor.wrapping_add(NETFD_SYSFD))?;
    if number < 0 {
        return None;
    }
    let mut file = 0;
    // SAFETY: no memory is passed.
    syscall::socket(unsafe { bpf_get_current_task() }, number as u64, &mut file)
}

/// The number of the flow that a socket is tracked as; 0 if it is not.
#[inline(always)]
fn flow_of(found: &Found) -> u64 {
    let cookie: u64 = Walked::sock(found.sock, setting!(OFFSETS.sk_cookie));
    flow::find(found.sock, cookie, found.inode).map_or(0, |flow| {
        // SAFETY: a live map value.
        let flow = unsafe { &*flow };
        if flow.protocol == protocol::OTHER { 0 } else { flow.ident.flow }
    })
}

/// func (pc *persistConn) roundTrip(req *transportRequest) (resp *Response, err error)
///
/// The goroutine that asks; the one that writes to the connection gets the request from it. No other
/// request is sent there before this one: the connection is this goroutine's until it has its answer.
#[uprobe]
pub(crate) fn go_round_trip(ctx: ProbeContext) -> u32 {
    let entry = Entry::of(&ctx);
    let Some(program) = GO.get_ptr(entry.tgid) else { return 0 };
    // SAFETY: a live map value.
    let program = unsafe { &*program };
    let asked = asks(program, &entry).is_some();
    count(if asked { KernelCounter::GoAsked } else { KernelCounter::GoUnlinked }, 1);
    0
}

#[inline(always)]
fn asks(program: &GoProgram, entry: &Entry) -> Option<()> {
    let connection = entry.args[0];
    if program.round_trip_shared != 0 {
        let shared: u8 = user(connection.wrapping_add(u64::from(program.round_trip_shared)))?;
        if shared != 0 {
            return None;
        }
    }
    let bias = entry.ip.wrapping_sub(program.round_trip);
    let conn = connection.wrapping_add(u64::from(program.round_trip_conn));
    let found = socket_of(program, bias, conn)?;
    let Goroutine { id, parent } = current(program, entry.sp);
    if id == 0 {
        return None;
    }
    let asked =
        Asked { flow: flow_of(&found), goroutine: id, parent, tgid: entry.tgid, reserved: 0 };
    ASKED.insert(found.sock, asked, 0).ok()
}

/// func (t *http2Client) write(s *ClientStream, hdr []byte, data mem.BufferSlice, opts *WriteOptions) error
///
/// Each call of gRPC passes here, at the latest with the end of what it sends, once for each message.
#[uprobe]
pub(crate) fn go_grpc_client(ctx: ProbeContext) -> u32 {
    stream(&ctx, GoStreams::GrpcClient, |_, entry| Some((entry.args[0], entry.args[1])));
    0
}

/// func (s *Server) handleStream(t transport.ServerTransport, stream *transport.ServerStream)
#[uprobe]
pub(crate) fn go_grpc_server(ctx: ProbeContext) -> u32 {
    stream(&ctx, GoStreams::GrpcServer, |probe, entry| {
        let [_, itab, transport, stream] = entry.args;
        let bias = entry.ip.wrapping_sub(probe.entry);
        let method = first_method(itab)?.wrapping_sub(bias);
        (probe.transport_method != 0 && method == probe.transport_method)
            .then_some((transport, stream))
    });
    0
}

/// func (sc *http2serverConn) runHandler(rw *http2responseWriter, req *Request, handler func(ResponseWriter, *Request))
#[uprobe]
pub(crate) fn go_http_handler(ctx: ProbeContext) -> u32 {
    stream(&ctx, GoStreams::Http, handled);
    0
}

/// func (sc *serverConn) runHandler(rw *responseWriter, req *http.Request, handler func(http.ResponseWriter, *http.Request))
#[uprobe]
pub(crate) fn go_xnet_handler(ctx: ProbeContext) -> u32 {
    stream(&ctx, GoStreams::XNet, handled);
    0
}

/// responseWriter.rws, whose first field is the stream.
#[inline(always)]
fn handled(_: &GoStreamProbe, entry: &Entry) -> Option<(u64, u64)> {
    let state: u64 = user(entry.args[1])?;
    Some((entry.args[0], user(state)?))
}

/// Tells whose a stream is. `find` gives the transport and the stream.
#[inline(always)]
fn stream(
    ctx: &ProbeContext,
    which: GoStreams,
    find: impl FnOnce(&GoStreamProbe, &Entry) -> Option<(u64, u64)>,
) {
    let entry = Entry::of(ctx);
    let Some(program) = GO.get_ptr(entry.tgid) else { return };
    // SAFETY: a live map value.
    let program = unsafe { &*program };
    let probe = &program.streams[which as usize];
    let told = find(probe, &entry)
        .and_then(|(transport, stream)| tell(program, probe, &entry, transport, stream));
    count(if told.is_some() { KernelCounter::GoStreams } else { KernelCounter::GoUnlinked }, 1);
}

#[inline(always)]
fn tell(
    program: &GoProgram,
    probe: &GoStreamProbe,
    entry: &Entry,
    transport: u64,
    stream: u64,
) -> Option<()> {
    let back: u64 = user(stream.wrapping_add(u64::from(probe.back)))?;
    if back != transport {
        return None;
    }
    let numbered = if probe.indirect == 0 { stream } else { user(stream)? };
    let id: u32 = user(numbered.wrapping_add(u64::from(probe.id)))?;
    // RFC 9113 section 5.1.1: those that a client opens are odd, and of 31 bits. (The first of a
    // connection that was upgraded is 1, too.)
    if id & 1 == 0 || id >> 31 != 0 {
        return None;
    }
    let bias = entry.ip.wrapping_sub(probe.entry);
    let conn = transport.wrapping_add(u64::from(probe.conn));
    let flow = flow_of(&socket_of(program, bias, conn)?);
    let Goroutine { id: goroutine, parent } = current(program, entry.sp);
    if flow == 0 || goroutine == 0 {
        return None;
    }
    let process = Process::current();
    let record = GoStreamRecord {
        kind: RecordKind::GoStream as u32,
        stream: id,
        // SAFETY: no memory is passed.
        time_ns: unsafe { bpf_ktime_get_ns() },
        flow,
        goroutine,
        goroutine_parent: parent,
        tgid: entry.tgid,
        execs: process.execs,
        start_ns: process.start_ns,
    };
    // SAFETY: the whole record.
    unsafe { emit::put(core::ptr::from_ref(&record).cast(), size_of::<GoStreamRecord>()) }
        .then_some(())
}
