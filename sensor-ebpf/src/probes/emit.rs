//! Records to the ring.

use core::{mem::size_of, slice};

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use sensor_ebpf::{
    abi::{EndRecord, KernelCounter, RecordKind, SegmentRecord, UnixPathRecord, segment_flag},
    limits::WINDOW,
};

use super::{
    golang,
    kernel::masked,
    maps::{END_SCRATCH, RING, count},
    state::{self, Flow, Scratch},
};

/// Puts `len` bytes at `record` on the ring. Never wakes the reader: it comes by on a timer, which
/// costs the traced call nothing (a wake-up costs it thousands of nanoseconds).
///
/// # Safety
/// `len` bytes at `record` are readable.
#[inline(always)]
pub(crate) unsafe fn put(record: *const u8, len: usize) -> bool {
    // SAFETY: by the caller's word; the verifier checks it as well.
    let bytes = unsafe { slice::from_raw_parts(record, len) };
    let taken = RING.output_untyped::<[u8]>(bytes, u64::from(BPF_RB_NO_WAKEUP)).is_ok();
    count(if taken { KernelCounter::Records } else { KernelCounter::RingFull }, 1);
    taken
}

/// Sends the record being made, with the bytes of the window that belong to it.
#[inline(always)]
pub(crate) fn segment(scratch: &mut Scratch) {
    scratch.pending = 0;
    let copied = scratch.record.copied as usize;
    if copied > WINDOW {
        return;
    }
    scratch.record.lost_records = scratch.dir.lost_records;
    golang::fill(scratch.sp, scratch.record.direction);
    // SAFETY: the window follows the record, and holds at least `copied` bytes.
    let taken = unsafe {
        put(
            (&raw const scratch.record).cast(),
            size_of::<SegmentRecord>()
                + masked::<{ 2 * WINDOW as u64 - 1 }>(copied as u64) as usize,
        )
    };
    if taken {
        scratch.reported = 1;
        scratch.dir.lost_records = 0;
        count(KernelCounter::BytesCopied, copied as u64);
    } else {
        scratch.dir.lost_records = scratch.dir.lost_records.wrapping_add(1);
    }
    // What was special about it holds for this record only, but for what holds for the call.
    scratch.record.flags &= segment_flag::HAS_SEQ
        | segment_flag::NONBLOCKING
        | segment_flag::MULTIPLEXES
        | segment_flag::CAUSE_ALONE
        | segment_flag::GOROUTINE_ASKED;
}

/// Says that a direction, or the flow, has ended. `slot` is the caller's of [`END_SCRATCH`].
#[inline(never)]
pub(crate) fn end(flow: &mut Flow, flags: u32, time_ns: u64, slot: u32) {
    let Some(record) = END_SCRATCH.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: this CPU's, and this caller's.
    let record = unsafe { &mut *record };
    record.kind = RecordKind::End as u32;
    record.flags = flags;
    record.time_ns = time_ns;
    state::copy(&flow.ident, &mut record.ident);
    record.tgid = flow.tgid;
    record.start_ns = flow.start_ns;
    record.execs = flow.execs;
    let [receive, send] = &mut flow.dirs;
    record.position = [receive.position, send.position];
    record.skipped = [receive.skipped, send.skipped];
    record.last_ns = [receive.last_ns, send.last_ns];
    record.lost_records = [receive.lost_records, send.lost_records];
    // SAFETY: the whole record.
    if unsafe { put(core::ptr::from_ref(record).cast(), size_of::<EndRecord>()) } {
        (receive.skipped, receive.lost_records) = (0, 0);
        (send.skipped, send.lost_records) = (0, 0);
    }
}

/// Names a Unix socket.
#[inline(always)]
pub(crate) fn unix_path(record: &UnixPathRecord) {
    // SAFETY: the whole record.
    unsafe { put(core::ptr::from_ref(record).cast(), size_of::<UnixPathRecord>()) };
}
