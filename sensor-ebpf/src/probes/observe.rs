//! What both engines end in: bytes went by on a socket.

use core::ptr::read_volatile;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_log_ebpf::debug;
use sensor_ebpf::{
    abi::{Family, KernelCounter, NO_FIELD, RecordKind, end_flag, segment_flag},
    frame::{Framer, Mode, Reason, confirmed, flag},
};

use super::{
    call::{Buffers, Direction},
    emit,
    flow::{self, New},
    golang,
    kernel::{Access, Process, Walked, masked, probe},
    maps::{FLOWS_BY_SOCK, SCRATCH, count, setting},
    select,
    state::{self, Dir, Flow, Scratch, flow_flag, protocol},
    turn, walk,
};

/// A flow that is older than the sensor is given up after so many beginnings that were none.
const MISSES_MAX: u8 = 16;

const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LAST_ACK: u8 = 9;
const TCP_CLOSING: u8 = 11;

/// What the engine knows of an event.
pub(crate) struct Event {
    pub(crate) sock: u64,
    /// Bytes that went by; more than 0.
    pub(crate) len: u64,
    /// Bytes that the same call has moved after these.
    pub(crate) behind: u64,
    pub(crate) direction: Direction,
    pub(crate) family: Family,
    pub(crate) cookie: u64,
    pub(crate) inode: u64,
    /// Whether it is known what the thread acts on.
    pub(crate) turns: bool,
}

/// Takes note of `event`. `nonblocking` says whether the call is not to wait. `buffers` is told whether its answer matters: to find it costs something,
/// but it may have to keep count of the events. It is also told whether bytes went by unseen just
/// before, which may have been the event of another.
#[inline(always)]
pub(crate) fn observe<A: Access>(
    event: &Event,
    ensure_cookie: impl FnOnce() -> u64,
    nonblocking: impl Fn() -> bool,
    buffers: impl FnOnce(bool, bool) -> Buffers,
) {
    let index = masked::<1>(event.direction as u64) as usize;
    let tcp = if matches!(event.family, Family::Unix) { 0 } else { A::tcp(event.sock) };
    let end_seq: u32 = if tcp == 0 {
        0
    } else if matches!(event.direction, Direction::Send) {
        A::sock(tcp, setting!(OFFSETS.tcp_write_seq))
    } else {
        A::sock(tcp, setting!(OFFSETS.tcp_copied_seq))
    };
    let end_seq = end_seq.wrapping_sub(event.behind as u32);
    let mut found = flow::find(event.sock, event.cookie, event.inode);
    if let Some(flow) = found {
        // SAFETY: a live map value.
        let live = unsafe { &mut *flow };
        if live.protocol == protocol::OTHER {
            read(event, live.ident.flow, 0, &nonblocking);
            return;
        }
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(index as u32) else {
        return;
    };
    // SAFETY: this CPU's, and this direction's: nothing else uses it while the program runs.
    let scratch = unsafe { &mut *scratch };
    let mut first_seq = end_seq.wrapping_sub(event.len as u32);
    if found.is_none() {
        let state: u8 = A::sock(event.sock, setting!(OFFSETS.sk_state));
        if tcp != 0 && state == TCP_CLOSE {
            // Reset while the call was under way: its addresses are gone, and its end has passed.
            count(KernelCounter::BytesUnseen, event.len);
            return;
        }
        let (from_start, fin, other_seq) = beginning(event, tcp, end_seq);
        if fin {
            first_seq = first_seq.wrapping_sub(1);
        }
        let new = New {
            sock: event.sock,
            direction: event.direction,
            family: event.family,
            cookie: if event.cookie == 0 { ensure_cookie() } else { event.cookie },
            inode: event.inode,
            from_start,
        };
        let begun = flow::begin(&new, scratch);
        if !begun.is_null() {
            // The first bytes in the other direction can be missed too: an answer, after which the
            // next one would be taken for it.
            // SAFETY: a live map value.
            let other = state::dir(unsafe { &mut (*begun).dirs }, 1 - index);
            if other.next_seq == 0 {
                other.next_seq = other_seq;
            }
        }
        found = (!begun.is_null()).then_some(begun);
    }
    let Some(flow) = found else { return };
    // SAFETY: a live map value; a race with the other direction costs a position, which is noticed.
    let live = unsafe { &mut *flow };
    if live.protocol == protocol::OTHER {
        read(event, live.ident.flow, 0, &nonblocking);
        return;
    }
    // SAFETY: no memory is passed.
    let now = unsafe { bpf_ktime_get_ns() };
    let pid = bpf_get_current_pid_tgid();
    A::process(index as u64, &mut scratch.record);
    live.tgid = (pid >> 32) as u32;
    // From memory: the engine may have written them through another pointer.
    // SAFETY: references are valid to read.
    unsafe {
        live.start_ns = read_volatile(&raw const scratch.record.start_ns);
        live.execs = read_volatile(&raw const scratch.record.execs);
    }
    let flipped = live.last_direction != index as u8 + 1;
    live.last_direction = index as u8 + 1;
    state::copy(state::dir(&mut live.dirs, index), &mut scratch.dir);
    state::copy(&live.pairing, &mut scratch.pairing);
    state::copy(&live.pairing, &mut scratch.pairing_before);
    scratch.reported = u64::from(live.flags & flow_flag::REPORTED);

    scratch.record.flags = if nonblocking() { segment_flag::NONBLOCKING } else { 0 };
    if tcp != 0 {
        scratch.record.flags |= segment_flag::HAS_SEQ;
        if is_placed(&scratch.dir) && first_seq != scratch.dir.next_seq {
            let jump = first_seq.wrapping_sub(scratch.dir.next_seq);
            if jump == 1 {
                // A FIN or an urgent byte, which the process does not read, takes a number too.
                first_seq = scratch.dir.next_seq;
            } else if jump < 1 << 30 {
                unseen(&mut scratch.dir.framer, u64::from(jump));
                scratch.dir.position = scratch.dir.position.wrapping_add(u64::from(jump));
                scratch.record.flags |= segment_flag::UNSEEN_BEFORE;
            } else {
                // Two threads sent at once, and their events came in the other order.
                count(KernelCounter::Resync, 1);
                state::dir(&mut live.dirs, index).framer.lose_place();
                buffers(false, true);
                read(event, live.ident.flow, scratch.dir.position, &nonblocking);
                return;
            }
        }
        scratch.dir.next_seq = end_seq;
    }
    scratch.dir.last_ns = now;

    scratch.record.kind = RecordKind::Segment as u32;
    scratch.record.time_ns = now;
    state::copy(&live.ident, &mut scratch.record.ident);
    scratch.record.tgid = (pid >> 32) as u32;
    scratch.record.tid = pid as u32;
    scratch.seq = first_seq;
    scratch.record.direction = index as u8;
    scratch.record.goroutine = 0;
    scratch.record.goroutine_parent = 0;
    scratch.record.cause_flow = 0;
    scratch.record.cause_position = 0;
    scratch.sp = if golang::is_known() { A::stack_pointer() } else { 0 };

    let mode_before = scratch.dir.framer.mode;
    let other = state::dir(&mut live.dirs, index ^ 1).framer.frame_stream;
    scratch.dir.framer.begin_call(live.protocol, other);
    let look = looks(&mut scratch.dir.framer, event.len, flipped);
    let jumped = scratch.record.flags & segment_flag::UNSEEN_BEFORE != 0;
    let buffers = buffers(look != Look::None, jumped);
    if buffers.nonblocking {
        scratch.record.flags |= segment_flag::NONBLOCKING;
    }
    if event.turns && (look != Look::None || matches!(event.direction, Direction::Receive)) {
        turn::acts(index as u64, event.len);
    }
    scratch.pending = 0;
    scratch.mark = 0;
    scratch.todo = event.len;
    scratch.parts = if buffers.parts == 0 { 0 } else { buffers.base };
    scratch.part_count = buffers.parts;
    scratch.part_next = 0;
    scratch.base = buffers.base;
    scratch.left = if buffers.parts == 0 { event.len } else { 0 };
    scratch.sock = event.sock;
    scratch.begins = u64::from(scratch.dir.framer.mode == Mode::Start as u8);
    if look == Look::Peek && walk::peek_response(scratch) {
        scratch.dir.framer.mode = Mode::Start as u8;
    }
    if buffers.known {
        walk::walk(index);
    }
    walk::rest(scratch);
    settle(live, index, scratch, mode_before);
}

/// The thread has read from a flow, if this is a read, up to `position`. (Where the flow is not followed,
/// that is 0.)
#[inline(always)]
fn read(event: &Event, flow: u64, position: u64, nonblocking: impl Fn() -> bool) {
    if event.turns && matches!(event.direction, Direction::Receive) {
        turn::read(flow, position, nonblocking());
    }
}

/// Whether a call's bytes have to be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// All of them are body.
    None,
    /// They should be body, unless they begin a response.
    Peek,
    /// Yes.
    All,
}

#[inline(always)]
fn looks(framer: &mut Framer, len: u64, flipped: bool) -> Look {
    let mode = framer.mode;
    if !Mode::passes(mode) {
        return Look::All;
    }
    if mode == Mode::Lost as u8 {
        if !flipped {
            return Look::None;
        }
        // What follows the other direction's bytes may well begin a message.
        framer.mode = Mode::Start as u8;
        return Look::All;
    }
    if Mode::counts(mode) && framer.number < len {
        return Look::All;
    }
    // A length may be that of a body that never came, because a HEAD from before the sensor asked.
    if flipped && framer.flags & flag::RESPONSE != 0 { Look::Peek } else { Look::None }
}

/// Whether it is known which sequence number is next in a direction. (One in four billion is 0 and
/// taken for unknown: then the first bytes there are what they seem.)
#[inline(always)]
fn is_placed(dir: &Dir) -> bool {
    dir.last_ns != 0 || dir.next_seq != 0
}

/// Whether this event is the connection's first, whether a FIN was read with it, and the sequence
/// number that is next in the other direction.
#[inline(always)]
fn beginning(event: &Event, tcp: u64, end_seq: u32) -> (bool, bool, u32) {
    if tcp == 0 || setting!(OFFSETS.tcp_bytes_acked) == NO_FIELD {
        return (false, false, 0);
    }
    let copied: u32 = probe(tcp, setting!(OFFSETS.tcp_copied_seq));
    let received_seq: u32 = probe(tcp, setting!(OFFSETS.tcp_rcv_nxt));
    let received: u64 = probe(tcp, setting!(OFFSETS.tcp_bytes_received));
    let written: u32 = probe(tcp, setting!(OFFSETS.tcp_write_seq));
    let unacked: u32 = probe(tcp, setting!(OFFSETS.tcp_snd_una));
    let acked: u64 = probe(tcp, setting!(OFFSETS.tcp_bytes_acked));
    let read = received.wrapping_sub(u64::from(received_seq.wrapping_sub(copied)));
    let sent = acked.wrapping_add(u64::from(written.wrapping_sub(unacked)));
    // Both counts may be one too high: a SYN and a FIN have a sequence number.
    let from_start =
        read.wrapping_add(sent).wrapping_sub(event.len).wrapping_sub(event.behind) <= 2;
    let state: u8 = probe(event.sock, setting!(OFFSETS.sk_state));
    let closing = state == TCP_CLOSE_WAIT || state == TCP_CLOSING || state == TCP_LAST_ACK;
    let fin = matches!(event.direction, Direction::Receive)
        && closing
        && received_seq == end_seq
        && event.behind == 0;
    let other_seq = if matches!(event.direction, Direction::Receive) { written } else { copied };
    (from_start, fin, other_seq)
}

/// `n` bytes went by that no hook saw. Within a body that does no harm.
#[inline(always)]
fn unseen(framer: &mut Framer, n: u64) {
    count(KernelCounter::BytesUnseen, n);
    if framer.number < n || !Mode::counts(framer.mode) {
        framer.leave_messages();
    }
    let mode = framer.mode;
    if mode == Mode::UntilClose as u8 {
        return;
    }
    if Mode::counts(mode) && framer.number >= n {
        framer.pass(n);
    } else {
        framer.lose_place();
    }
}

/// After a call: what has become of the flow.
#[inline(never)]
fn settle(flow: &mut Flow, index: usize, scratch: &mut Scratch, mode_before: u8) {
    let framer = &mut scratch.dir.framer;
    let mode = framer.mode;
    if framer.confirmed == confirmed::HTTP2 {
        if flow.protocol != protocol::HTTP2 {
            flow.protocol = protocol::HTTP2;
            count(KernelCounter::FlowsHttp2, 1);
            debug!(&(), "flow {} speaks HTTP/2", flow.ident.flow);
        }
    } else if framer.confirmed == confirmed::HTTP1 && flow.protocol == protocol::UNKNOWN {
        flow.protocol = protocol::HTTP1;
    }
    let lost = mode == Mode::Lost as u8 && mode_before != mode;
    let peer = &mut state::dir(&mut flow.dirs, index ^ 1).framer;
    if (lost || mode == Mode::Other as u8) && peer.switched() {
        // After a 101, this is no preface: they have not switched to HTTP/2.
        peer.mode = Mode::Opaque as u8;
        framer.mode = Mode::Opaque as u8;
        flow.protocol = protocol::OTHER;
    } else if mode == Mode::Opaque as u8 {
        flow.protocol = protocol::OTHER;
    } else if mode == Mode::Other as u8 {
        if flow.protocol == protocol::HTTP1 || flow.protocol == protocol::HTTP2 {
            framer.lose_place();
        } else if flow.ident.from_start != 0 || flow.misses >= MISSES_MAX {
            flow.protocol = protocol::OTHER;
            debug!(&(), "flow {} is not HTTP (reason {})", flow.ident.flow, framer.reason);
            count(
                if framer.reason == Reason::Tls as u8 {
                    KernelCounter::FlowsTls
                } else {
                    KernelCounter::FlowsNotHttp
                },
                1,
            );
        } else {
            // Older than the sensor: this may be the middle of a body, or of HTTP/2.
            if framer.reason != Reason::Undecided as u8 {
                flow.misses = flow.misses.wrapping_add(1);
            }
            framer.mode = Mode::Lost as u8;
        }
    } else if lost || (mode == Mode::FrameLost as u8 && mode_before != mode) {
        debug!(
            &(),
            "flow {} lost its place at {}, direction {}",
            flow.ident.flow,
            scratch.dir.position,
            index
        );
        count(KernelCounter::Resync, 1);
    }
    flow.flags |= scratch.reported as u8;
    state::copy(&scratch.dir, state::dir(&mut flow.dirs, index));
    // Only what this call has changed: the other direction, which has the rest, may have moved on
    // meanwhile on another CPU.
    let (before, after) = (&scratch.pairing_before, &scratch.pairing);
    if after.responses != before.responses {
        flow.pairing.responses = after.responses;
    }
    if after.requests != before.requests
        || after.head != before.head
        || after.connect != before.connect
    {
        flow.pairing.requests = after.requests;
        flow.pairing.head = after.head;
        flow.pairing.connect = after.connect;
    }
}

/// A process has read the end of what it receives.
#[inline(never)]
pub(crate) fn receive_eof(sock: u64, cookie: u64, inode: u64, unix: bool) {
    // SAFETY: no memory is passed.
    let now = unsafe { bpf_ktime_get_ns() };
    if let Some(flow) = flow::find(sock, cookie, inode) {
        // SAFETY: a live map value.
        let flow = unsafe { &mut *flow };
        if setting!(CONFIG.causes) != 0 {
            // The end is something that was read, too. It is taken for a read without waiting, of which
            // less is told: it is not known here.
            let position = state::dir(&mut flow.dirs, Direction::Receive as usize).position;
            turn::read(flow.ident.flow, position, true);
        }
        if flow.is_reported() {
            emit::end(flow, end_flag::RECEIVE_EOF, now, 0);
        }
    }
    if unix {
        // No tracepoint tells of a Unix socket's closing; its peer has just noticed.
        let peer: u64 = probe(sock, setting!(OFFSETS.unix_peer));
        if let Some(flow) = FLOWS_BY_SOCK.get_ptr_mut(peer) {
            // SAFETY: a live map value.
            let flow = unsafe { &mut *flow };
            if flow.is_reported() && flow.ident.family == Family::Unix as u8 {
                emit::end(flow, end_flag::SEND_EOF, now, 0);
            }
        }
    }
}

/// Accounts for what has gone by since the last event, by ways that the hooks do not see (`splice`
/// to a pipe), or because a run was missed: there may be no further event to tell of it.
#[inline(never)]
fn catch_up(flow: &mut Flow, sock: u64) {
    let tcp = Walked::tcp(sock);
    let last = Process { start_ns: flow.start_ns, execs: flow.execs };
    // What another protocol does is not followed; nor is a process that was found not to be chosen.
    if tcp == 0 || flow.protocol == protocol::OTHER || !select::process(flow.tgid, || last) {
        return;
    }
    let copied: u32 = probe(tcp, setting!(OFFSETS.tcp_copied_seq));
    let dir = state::dir(&mut flow.dirs, Direction::Receive as usize);
    let jump = copied.wrapping_sub(dir.next_seq);
    if is_placed(dir) && jump > 1 && jump < 1 << 30 {
        // A FIN that was read takes a number too.
        let fin =
            Mode::counts(dir.framer.mode) && dir.framer.number.wrapping_add(1) == u64::from(jump);
        let n = u64::from(jump).wrapping_sub(u64::from(fin));
        unseen(&mut dir.framer, n);
        dir.position = dir.position.wrapping_add(n);
        dir.next_seq = copied;
    }
    let written: u32 = probe(tcp, setting!(OFFSETS.tcp_write_seq));
    let dir = state::dir(&mut flow.dirs, Direction::Send as usize);
    let jump = written.wrapping_sub(dir.next_seq);
    if is_placed(dir) && jump > 1 && jump < 1 << 30 {
        // Only placed, not counted: the call that sends them may not be over, and counts them then.
        dir.position = dir.position.wrapping_add(u64::from(jump));
        dir.next_seq = written;
    }
}

/// A TCP socket has changed its state.
#[inline(always)]
pub(crate) fn state_changed(sock: u64, new_state: i32, error: u32) {
    const TCP_FIN_WAIT1: i32 = 4;
    const TCP_LAST_ACK: i32 = 9;
    let flags = if new_state == i32::from(TCP_CLOSE) {
        end_flag::CLOSED
    } else if new_state == TCP_FIN_WAIT1 || new_state == TCP_LAST_ACK {
        end_flag::SEND_EOF
    } else {
        return;
    };
    let Some(flow) = FLOWS_BY_SOCK.get_ptr_mut(sock) else {
        return;
    };
    // SAFETY: a live map value.
    let flow = unsafe { &mut *flow };
    if flow.ident.family == Family::Unix as u8 {
        return;
    }
    if flags == end_flag::CLOSED && (has_unread(sock) || is_sending(flow, sock)) {
        // It is still to be read, by one that has said all it had to say, or after a reset; or these
        // are the bytes that brought the reset about, whose call tells of them when it is over: the
        // socket's end is this one's.
        if error != 0 {
            flow.flags |= flow_flag::RESET;
        }
        return;
    }
    let error = if error != 0 { end_flag::ERROR } else { 0 };
    end(flow, sock, flags | error);
}

/// A TCP socket is gone. What is followed of it still had bytes to be read or told of when the connection
/// ended, or the run that would have told of that end was missed.
#[inline(always)]
pub(crate) fn destroyed(sock: u64) {
    let Some(flow) = FLOWS_BY_SOCK.get_ptr_mut(sock) else {
        return;
    };
    // SAFETY: a live map value.
    let flow = unsafe { &mut *flow };
    let error = if flow.flags & flow_flag::RESET != 0 { end_flag::ERROR } else { 0 };
    end(flow, sock, end_flag::CLOSED | error);
}

/// Whether there is more in the socket than the FIN.
#[inline(always)]
fn has_unread(sock: u64) -> bool {
    let tcp = Walked::tcp(sock);
    let copied: u32 = probe(tcp, setting!(OFFSETS.tcp_copied_seq));
    let received: u32 = probe(tcp, setting!(OFFSETS.tcp_rcv_nxt));
    let unread = received.wrapping_sub(copied);
    tcp != 0 && unread > 1 && unread < 1 << 30
}

/// Whether a call has put more into the socket than has been told of, and than the FIN.
#[inline(always)]
fn is_sending(flow: &mut Flow, sock: u64) -> bool {
    let tcp = Walked::tcp(sock);
    let written: u32 = probe(tcp, setting!(OFFSETS.tcp_write_seq));
    let dir = state::dir(&mut flow.dirs, Direction::Send as usize);
    let untold = written.wrapping_sub(dir.next_seq);
    tcp != 0 && is_placed(dir) && untold > 1 && untold < 1 << 30
}

/// Tells of an end, and forgets the flow if that is the last one.
#[inline(always)]
fn end(flow: &mut Flow, sock: u64, flags: u32) {
    if flow.is_reported() {
        catch_up(flow, sock);
        // SAFETY: no memory is passed.
        emit::end(flow, flags, unsafe { bpf_ktime_get_ns() }, 1);
    }
    if flags & end_flag::CLOSED != 0 {
        let _ = FLOWS_BY_SOCK.remove(sock);
    }
}
