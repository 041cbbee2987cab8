//! The walk over one call's bytes: part by part, window by window, until all are framed.

use aya_ebpf::helpers::{
    bpf_probe_read_user,
    generated::{bpf_loop, bpf_probe_read_user as read_user_bytes},
};
use sensor_ebpf::{
    abi::{KernelCounter, segment_flag},
    frame::{self, Framer, Mode, Reason, Window},
    limits::WINDOW,
};

use super::{
    emit,
    kernel::masked,
    maps::count,
    state::{self, Dir, Flow, Scratch},
};

/// Steps of one walk: a window, a part, or a stretch passed over. More than the parts that a call
/// can have (`UIO_MAXIOV` is 1,024), and enough for some thousand chunks; less than what the caller
/// would feel.
const STEPS: u32 = 16_384;

/// Steps of the framing in one call of the loop's body: a call costs as much as a step.
const STEPS_AT_ONCE: u32 = 1;

/// Bytes read at once where a chunk's size is expected.
const SIZE_WINDOW: u64 = 64;

/// Bytes read first where a message begins: most heads fit, and little body comes along.
const HEAD_WINDOW: u64 = 512;

/// What the steps need; on the stack, where a loop's callback may reach it.
struct Walk {
    flow: *mut Flow,
    scratch: *mut Scratch,
    index: usize,
}

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
        // Eight bytes at WINDOW are still within the memory behind it.
        let at = if at > WINDOW { WINDOW } else { at };
        // SAFETY: the window is aligned, and 16 bytes longer than WINDOW.
        unsafe { core::ptr::read_volatile(self.0.add(at).cast::<u64>()) }
    }
}

/// Walks the call's bytes as far as they can be read.
#[inline(always)]
pub(crate) fn walk(flow: *mut Flow, index: usize, scratch: &mut Scratch) {
    let mut walk = Walk { flow, scratch, index };
    // SAFETY: the callback has the signature that the helper calls, and gets its own context.
    let steps = unsafe { bpf_loop(STEPS, step as *mut _, (&raw mut walk).cast(), 0) };
    if steps >= i64::from(STEPS) {
        count(KernelCounter::WalkLimit, 1);
    }
}

/// One step; 1 ends the walk.
unsafe extern "C" fn step(_: u64, walk: *mut Walk) -> u64 {
    // SAFETY: `walk` above passes its own context, which outlives the loop; scratch and flow are
    // live map values.
    let (scratch, flow, index) = unsafe {
        (&mut *(*walk).scratch, &mut *(*walk).flow, masked::<1>((*walk).index as u64) as usize)
    };
    if scratch.todo == 0 {
        return 1;
    }
    if scratch.left == 0 {
        return u64::from(!next_part(scratch));
    }
    let dir = state::dir(&mut flow.dirs, index);
    if Mode::passes(dir.framer.mode) {
        if dir.framer.mode >= Mode::UntilClose as u8 {
            return 1;
        }
        pass(flow, index, scratch);
        return 0;
    }
    if scratch.pending != 0 && emit::segment(scratch, dir) {
        flow.reported = 1;
    }
    let limit = window_size(&dir.framer);
    let want = if scratch.left < limit { scratch.left } else { limit };
    // SAFETY: the window holds WINDOW bytes, and `want` is at most that.
    let failed = unsafe {
        read_user_bytes(
            scratch.window.as_mut_ptr().cast(),
            masked::<{ 2 * WINDOW as u64 - 1 }>(want) as u32,
            scratch.base as *const _,
        )
    };
    if failed != 0 {
        return 1;
    }
    scratch.at = 0;
    scratch.len = want as u32;
    // SAFETY: the callback has the signature that the helper calls, and gets the walk's context.
    unsafe { bpf_loop(frame::STEPS / STEPS_AT_ONCE, scan_step as *mut _, walk.cast(), 0) };
    let at = scratch.at;
    if dir.framer.mode == Mode::Other as u8 {
        return 1;
    }
    begin_record(scratch, dir, at);
    advance(flow, index, scratch, u64::from(at));
    if state::dir(&mut flow.dirs, index).framer.mode == Mode::Lost as u8
        && state::dir(&mut flow.dirs, index).framer.reason == Reason::HeadTooLarge as u8
    {
        scratch.record.flags |= segment_flag::HEAD_TOO_LARGE;
        count(KernelCounter::HeadTooLarge, 1);
    }
    0
}

/// One step of the framing; 1 ends it. Where it stands is kept in map memory, because the verifier
/// follows values on the stack, and would follow each position.
unsafe extern "C" fn scan_step(_: u64, walk: *mut Walk) -> u64 {
    // SAFETY: as in `step`.
    let (scratch, flow, index) =
        unsafe { (&mut *(*walk).scratch, &mut *(*walk).flow, (*walk).index) };
    let framer = &mut state::dir(&mut flow.dirs, index).framer;
    let window = MapWindow(scratch.window.as_ptr());
    let mut i = 0;
    while i < STEPS_AT_ONCE {
        let next = frame::step(framer, &mut flow.pairing, &window, scratch.at, scratch.len);
        if next == scratch.at {
            return 1;
        }
        scratch.at = next;
        i += 1;
    }
    0
}

/// Begins the record of the `copied` bytes in the window.
#[inline(always)]
fn begin_record(scratch: &mut Scratch, dir: &mut Dir, copied: u32) {
    scratch.record.position = dir.position;
    scratch.record.tcp_seq = scratch.seq;
    scratch.record.skipped_before = dir.skipped;
    scratch.record.skipped_after = 0;
    scratch.record.copied = copied;
    scratch.pending = 1;
    scratch.mark = 0;
    dir.skipped = 0;
}

#[inline(always)]
fn window_size(framer: &Framer) -> u64 {
    if framer.mode == Mode::Size as u8 || framer.mode == Mode::Ext as u8 {
        SIZE_WINDOW
    } else if framer.mode == Mode::Start as u8 {
        HEAD_WINDOW
    } else {
        WINDOW as u64
    }
}

/// Moves on by `n` bytes of the current part.
#[inline(always)]
fn advance(flow: &mut Flow, index: usize, scratch: &mut Scratch, n: u64) {
    let dir = state::dir(&mut flow.dirs, index);
    dir.position = dir.position.wrapping_add(n);
    scratch.seq = scratch.seq.wrapping_add(n as u32);
    scratch.base = scratch.base.wrapping_add(n);
    scratch.left = scratch.left.wrapping_sub(n);
    scratch.todo = scratch.todo.wrapping_sub(n);
}

/// Passes over what is left of the part, as far as it is body.
#[inline(always)]
fn pass(flow: &mut Flow, index: usize, scratch: &mut Scratch) {
    let dir = state::dir(&mut flow.dirs, index);
    let was_body = dir.framer.mode == Mode::Body as u8;
    let n = dir.framer.pass(scratch.left);
    if scratch.pending != 0 {
        scratch.record.skipped_after = scratch.record.skipped_after.wrapping_add(n);
    } else {
        dir.skipped = dir.skipped.wrapping_add(n);
        if was_body && dir.framer.mode == Mode::Start as u8 {
            scratch.mark = 1;
        }
    }
    count(KernelCounter::BytesSkipped, n);
    advance(flow, index, scratch, n);
}

/// Goes to the next part of the call's vector.
#[inline(always)]
fn next_part(scratch: &mut Scratch) -> bool {
    if scratch.parts == 0 || scratch.part_next >= scratch.part_count {
        return false;
    }
    let at = scratch.parts.wrapping_add(scratch.part_next.wrapping_mul(16));
    scratch.part_next = scratch.part_next.wrapping_add(1);
    // SAFETY: the helper checks the address.
    let Ok([base, len]) = (unsafe { bpf_probe_read_user(at as *const [u64; 2]) }) else {
        return false;
    };
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
pub(crate) fn rest(flow: *mut Flow, index: usize, scratch: &mut Scratch) {
    // SAFETY: a live map value.
    let flow = unsafe { &mut *flow };
    let index = masked::<1>(index as u64) as usize;
    let mode = state::dir(&mut flow.dirs, index).framer.mode;
    if scratch.todo != 0 && mode < Mode::UntilClose as u8 {
        scratch.left = scratch.todo;
        if Mode::passes(mode) {
            pass(flow, index, scratch);
        }
    }
    let left = scratch.todo;
    if left != 0 {
        let dir = state::dir(&mut flow.dirs, index);
        let mode = dir.framer.mode;
        if mode == Mode::UntilClose as u8 {
            count(KernelCounter::BytesSkipped, left);
            if scratch.pending != 0 {
                scratch.record.skipped_after = scratch.record.skipped_after.wrapping_add(left);
            } else {
                dir.skipped = dir.skipped.wrapping_add(left);
            }
        } else if !Mode::passes(mode) {
            // They may have been a head: the place is lost.
            count(KernelCounter::BytesUnreadable, left);
            dir.framer.mode = Mode::Lost as u8;
        }
        advance(flow, index, scratch, left);
    }
    let dir = state::dir(&mut flow.dirs, index);
    if scratch.pending == 0 && scratch.mark != 0 && flow.reported != 0 {
        begin_record(scratch, dir, 0);
    }
    if scratch.pending != 0 && emit::segment(scratch, dir) {
        flow.reported = 1;
    }
}
