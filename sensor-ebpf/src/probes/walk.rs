//! The walk over one call's bytes: part by part, window by window, until all are framed.
//!
//! The functions without a Rust name of their own are *global* to the verifier: it goes through each
//! once, for any argument, and not again for every place that calls it and every turn of a loop around
//! it. That is why they take numbers only, and find their state in this CPU's scratch memory. (Linux
//! 5.6 and newer have them, and no newer way to loop is needed.)

use core::mem::size_of;

use aya_ebpf::helpers::{bpf_probe_read_user, generated::bpf_probe_read_user as read_user_bytes};
use sensor_ebpf::{
    abi::{KernelCounter, segment_flag},
    frame::{self, Framer, Mode, Reason, Window, http1, http2},
    limits::WINDOW,
};

use super::{
    emit,
    kernel::masked,
    maps::{SCRATCH, count},
    state::Scratch,
};

/// Steps of one walk: a window, a part, or a stretch passed over. More than the parts that a call
/// can have (`UIO_MAXIOV` is 1,024), and enough for some thousand chunks; less than what the caller
/// would feel. The product of the two; the verifier follows no loop for longer.
const TURNS: u32 = 128;
const STEPS: u32 = 128;

/// Bytes read at once where a chunk's size is expected, or the prefix of a message.
const SIZE_WINDOW: u64 = 64;

/// Bytes read first where a message or a frame begins: most heads fit, and little body comes along.
const HEAD_WINDOW: u64 = 512;

/// The bytes of the window, with indices that cannot leave it.
struct MapWindow(*const u8);

impl Window for MapWindow {
    #[inline(always)]
    fn byte(&self, at: u32) -> u8 {
        // SAFETY: the window is longer than the mask.
        unsafe { *self.0.add(at as usize & (WINDOW - 1)) }
    }

    #[inline(always)]
    fn word(&self, at: u32) -> u64 {
        let at = at as usize & (2 * WINDOW - 8);
        // SAFETY: the window is aligned, and longer than twice WINDOW.
        unsafe { core::ptr::read_volatile(self.0.add(at).cast::<u64>()) }
    }
}

/// This CPU's scratch memory for a direction.
#[inline(always)]
fn scratch(index: u64) -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(masked::<1>(index) as u32)?;
    // SAFETY: this CPU's, and this direction's: nothing else uses it while the program runs, and no
    // caller keeps a reference across a call to the functions below.
    Some(unsafe { &mut *scratch })
}

/// Walks the call's bytes as far as they can be read.
#[inline(always)]
pub(crate) fn walk(index: usize) {
    let mut turn = 0;
    while turn < TURNS {
        if walk_steps(index as u64) != 0 {
            return;
        }
        turn += 1;
    }
    count(KernelCounter::WalkLimit, 1);
}

/// Some steps of the walk; 1 ends it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_steps(index: u64) -> u64 {
    let mut i = 0;
    while i < STEPS {
        if walk_step(index) != 0 {
            return 1;
        }
        i += 1;
    }
    0
}

/// One step; 1 ends the walk.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_step(index: u64) -> u64 {
    let Some(live) = scratch(index) else { return 1 };
    if live.todo == 0 {
        return 1;
    }
    if live.left == 0 {
        return u64::from(!next_part(live));
    }
    let mode = live.dir.framer.mode;
    if Mode::passes(mode) {
        if mode >= Mode::UntilClose as u8 {
            return 1;
        }
        pass(live);
        return 0;
    }
    if live.pending != 0 {
        emit::segment(live);
    }
    let limit = window_size(&live.dir.framer);
    let want = if live.left < limit { live.left } else { limit };
    // SAFETY: the window holds WINDOW bytes, and `want` is at most that.
    let failed = unsafe {
        read_user_bytes(
            live.window.as_mut_ptr().cast(),
            masked::<{ 2 * WINDOW as u64 - 1 }>(want) as u32,
            live.base as *const _,
        )
    };
    if failed != 0 {
        return 1;
    }
    live.at = 0;
    live.len = want as u32;
    let at_frame = live.dir.framer.at_frame();
    let at_opening = live.dir.framer.at_opening();
    let mut next = if Mode::is_http1(mode) { HTTP1 } else { HTTP2 };
    let mut i = 0;
    while i < frame::STEPS {
        next = if next == HTTP1 { frame_step(index) } else { frame2_step(index) };
        if next == DONE {
            break;
        }
        i += 1;
    }
    let Some(live) = scratch(index) else { return 1 };
    let at = live.at;
    if live.dir.framer.mode == Mode::Other as u8 {
        return 1;
    }
    if at == 0 {
        // What follows is passed over.
        return 0;
    }
    begin_record(live, at);
    let first = MapWindow(live.window.as_ptr()).word(0) as u32;
    if live.dir.framer.began_frame(at_frame, at_opening, first) {
        live.record.flags |= segment_flag::FRAME_START;
    }
    advance(live, u64::from(at));
    let framer = &live.dir.framer;
    if framer.mode == Mode::Lost as u8 && framer.reason == Reason::HeadTooLarge as u8 {
        live.record.flags |= segment_flag::HEAD_TOO_LARGE;
        count(KernelCounter::HeadTooLarge, 1);
    }
    0
}

/// What a step of the framing is followed by.
const DONE: u64 = 0;
const HTTP1: u64 = 1;
const HTTP2: u64 = 2;

#[inline(always)]
fn followed_by(live: &Scratch) -> u64 {
    let mode = live.dir.framer.mode;
    if live.at >= live.len || Mode::passes(mode) {
        DONE
    } else if Mode::is_http1(mode) {
        HTTP1
    } else {
        HTTP2
    }
}

/// One step of the framing of HTTP/1; what it is followed by.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_step(index: u64) -> u64 {
    let Some(live) = scratch(index) else { return DONE };
    let window = MapWindow(live.window.as_ptr());
    live.at = http1::step(&mut live.dir.framer, &mut live.pairing, &window, live.at, live.len);
    followed_by(live)
}

/// One step of the framing of HTTP/2, or of gRPC-Web over HTTP/1; what it is followed by.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame2_step(index: u64) -> u64 {
    let Some(live) = scratch(index) else { return DONE };
    let window = MapWindow(live.window.as_ptr());
    let framer = &mut live.dir.framer;
    live.at = if Mode::is_web(framer.mode) {
        http1::web::step(framer, &window, live.at, live.len)
    } else {
        http2::step(framer, &window, live.at, live.len)
    };
    followed_by(live)
}

/// Begins the record of the `copied` bytes in the window.
#[inline(always)]
fn begin_record(scratch: &mut Scratch, copied: u32) {
    scratch.record.position = scratch.dir.position;
    scratch.record.tcp_seq = scratch.seq;
    scratch.record.skipped_before = scratch.dir.skipped;
    scratch.record.skipped_after = 0;
    scratch.record.copied = copied;
    scratch.pending = 1;
    scratch.mark = 0;
    scratch.dir.skipped = 0;
}

#[inline(always)]
fn window_size(framer: &Framer) -> u64 {
    if framer.mode == Mode::Size as u8
        || framer.mode == Mode::Ext as u8
        || framer.mode == Mode::Prefix as u8
    {
        SIZE_WINDOW
    } else if framer.mode == Mode::Start as u8
        || framer.at_frame()
        || framer.mode == Mode::WebPrefix as u8
    {
        HEAD_WINDOW
    } else {
        WINDOW as u64
    }
}

/// Moves on by `n` bytes of the current part.
#[inline(always)]
fn advance(scratch: &mut Scratch, n: u64) {
    scratch.dir.position = scratch.dir.position.wrapping_add(n);
    scratch.seq = scratch.seq.wrapping_add(n as u32);
    scratch.base = scratch.base.wrapping_add(n);
    scratch.left = scratch.left.wrapping_sub(n);
    scratch.todo = scratch.todo.wrapping_sub(n);
}

/// Passes over what is left of the part, as far as it is body.
#[inline(always)]
fn pass(scratch: &mut Scratch) {
    let before = scratch.dir.framer.mode;
    let n = scratch.dir.framer.pass(scratch.left);
    skip(scratch, n);
    if scratch.pending == 0 {
        let framer = &scratch.dir.framer;
        let body_ended = framer.mode == Mode::Start as u8
            && (before == Mode::Body as u8 || before == Mode::WebData as u8);
        let stream_ended = before == Mode::FrameData as u8
            && framer.at_frame()
            && framer.flags & http2::flag::END_STREAM != 0;
        if body_ended || stream_ended {
            scratch.mark = 1;
        }
    }
    advance(scratch, n);
}

/// Notes that `n` bytes are passed over.
#[inline(always)]
fn skip(scratch: &mut Scratch, n: u64) {
    if scratch.pending != 0 {
        scratch.record.skipped_after = scratch.record.skipped_after.wrapping_add(n);
    } else {
        scratch.dir.skipped = scratch.dir.skipped.wrapping_add(n);
    }
    count(KernelCounter::BytesSkipped, n);
}

/// Goes to the next part of the call's vector.
#[inline(always)]
fn next_part(scratch: &mut Scratch) -> bool {
    if scratch.parts == 0 || scratch.part_next >= scratch.part_count {
        return false;
    }
    let at = scratch.parts.wrapping_add(scratch.part_next.wrapping_mul(16));
    scratch.part_next = scratch.part_next.wrapping_add(1);
    // SAFETY: the helper checks the address, and writes as much as there is room for.
    let failed = unsafe {
        read_user_bytes(
            scratch.part.as_mut_ptr().cast(),
            size_of::<[u64; 2]>() as u32,
            at as *const _,
        )
    };
    if failed != 0 {
        return false;
    }
    let [base, len] = scratch.part;
    scratch.base = base;
    scratch.left = if len < scratch.todo { len } else { scratch.todo };
    true
}

/// Whether the call's first bytes look like a response's.
#[inline(always)]
pub(crate) fn peek_response(scratch: &mut Scratch) -> bool {
    if scratch.todo < 8 || (scratch.left == 0 && !next_part(scratch)) {
        return false;
    }
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user(scratch.base as *const u64) } {
        Ok(first) => Framer::looks_like_response(first),
        Err(_) => false,
    }
}

/// Accounts for what the walk did not reach, and sends the last record.
#[inline(always)]
pub(crate) fn rest(scratch: &mut Scratch) {
    if scratch.todo != 0 && scratch.dir.framer.mode < Mode::UntilClose as u8 {
        scratch.left = scratch.todo;
        let framer = &mut scratch.dir.framer;
        if framer.number < scratch.todo || !Mode::counts(framer.mode) {
            framer.leave_messages();
        }
        if Mode::counts(framer.mode) {
            pass(scratch);
        }
    }
    let left = scratch.todo;
    if left != 0 {
        let mode = scratch.dir.framer.mode;
        let body = mode == Mode::UntilClose as u8;
        if body || mode == Mode::Other as u8 || mode == Mode::Opaque as u8 {
            // The last two are another protocol's bytes, and nobody's exchange.
            skip(scratch, left);
        } else if mode == Mode::FrameLost as u8 {
            count(KernelCounter::BytesOutOfPlace, left);
        } else if !Mode::passes(mode) {
            // They may have been a head: the place is lost.
            count(KernelCounter::BytesUnreadable, left);
            scratch.dir.framer.lose_place();
        }
        advance(scratch, left);
    }
    if scratch.pending == 0 && scratch.mark != 0 && scratch.reported != 0 {
        begin_record(scratch, 0);
    }
    if scratch.pending != 0 {
        emit::segment(scratch);
    }
}
