//! Goroutines: on whose behalf a Go program makes a call.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_probe_read_user};
use sensor_ebpf::abi::{GoProgram, NO_FIELD};

use super::{
    kernel::{masked, probe},
    maps::{GO, SCRATCH, setting},
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
    let Goroutine { id, parent } = current(unsafe { &*program }, sp);
    scratch.record.goroutine = id;
    scratch.record.goroutine_parent = parent;
    0
}

/// The same, where it is not done yet and there is something to know.
#[inline(always)]
pub(crate) fn fill(sp: u64, direction: u8) {
    if is_known() && sp != 0 {
        whose_call(u64::from(direction));
    }
}
