//! Reading the kernel's structures.

use aya_ebpf::helpers::{
    bpf_get_current_task, bpf_probe_read_kernel,
    generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
};
use sensor_ebpf::abi::{NO_FIELD, SegmentRecord};

use super::maps::{CALLS, SCRATCH, setting};

/// Reads a field of a structure that the verifier has no type for; zero when it cannot be read.
#[inline(always)]
pub(crate) fn probe<T: Copy + Default>(base: u64, offset: u32) -> T {
    if base == 0 || offset == NO_FIELD {
        return T::default();
    }
    let address = base.wrapping_add(u64::from(offset)) as *const T;
    // SAFETY: the helper checks the address, and fails instead of faulting.
    unsafe { bpf_probe_read_kernel(address) }.unwrap_or_default()
}

/// Reads a field through a pointer that the verifier knows the type of: a plain load, which is an
/// order of magnitude cheaper than a helper call. The offset has to be one of the frozen settings.
///
/// # Safety
/// `base` is such a pointer; the verifier rejects the program otherwise.
#[inline(always)]
pub(crate) unsafe fn direct<T: Copy>(base: u64, offset: u32) -> T {
    let address = (base as usize).wrapping_add(offset as usize) as *const T;
    // SAFETY: the verifier has checked the access against the structure's type.
    unsafe { core::ptr::read_volatile(address) }
}

/// `value & MASK`, done where the verifier sees it: the compiler leaves out a mask that it knows to
/// change nothing, and the verifier may not know the same.
#[inline(always)]
pub(crate) fn masked<const MASK: u64>(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: one arithmetic instruction on a register.
    unsafe {
        core::arch::asm!("{0} &= {1}", inout(reg) value, const MASK, options(pure, nomem, nostack))
    };
    value
}

/// The start time and the exec count of a process: together with its id they identify the process
/// and the program that it runs.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// See [`sensor_ebpf::abi::SegmentRecord::start_ns`].
    pub(crate) start_ns: u64,
    /// See [`sensor_ebpf::abi::SegmentRecord::execs`].
    pub(crate) execs: u32,
}

impl Process {
    /// Of a task that the verifier has no type for.
    #[inline(always)]
    pub(crate) fn of(task: u64) -> Self {
        let leader: u64 = probe(task, setting!(OFFSETS.task_group_leader));
        Self {
            start_ns: probe(leader, setting!(OFFSETS.task_start_boottime)),
            execs: probe(task, setting!(OFFSETS.task_self_exec_id)),
        }
    }

    /// Of the current task, read without types.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: no memory is passed.
        Self::of(unsafe { bpf_get_current_task() })
    }

    /// Of the current task, by plain loads (Linux 5.11).
    #[inline(always)]
    pub(crate) fn typed() -> Self {
        // SAFETY: the helper returns a typed pointer, and so does the first load.
        unsafe {
            let task = bpf_get_current_task_btf() as u64;
            let leader: u64 = direct(task, setting!(OFFSETS.task_group_leader));
            Self {
                start_ns: direct(leader, setting!(OFFSETS.task_start_boottime)),
                execs: direct(task, setting!(OFFSETS.task_self_exec_id)),
            }
        }
    }
}

/// Writes the current process's start time and exec count into the record of a direction. Global,
/// for a stack of its own: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_process(direction: u64) -> u64 {
    let Process { start_ns, execs } = Process::current();
    let Some(scratch) = SCRATCH.get_ptr_mut(masked::<1>(direction) as u32) else { return 1 };
    // SAFETY: this CPU's, and this direction's: nothing else uses it while the program runs.
    unsafe {
        (*scratch).record.start_ns = start_ns;
        (*scratch).record.execs = execs;
    }
    0
}

/// How an engine reads the few fields that each call needs.
pub(crate) trait Access {
    /// A field of the socket.
    fn sock<T: Copy + Default>(sock: u64, offset: u32) -> T;
    /// The `tcp_sock` of a TCP socket, or 0.
    fn tcp(sock: u64) -> u64;
    /// The caller's stack pointer, where [`super::golang::is_known`].
    fn stack_pointer() -> u64;
    /// Writes the current process's start time and exec count into the record of this direction.
    fn process(direction: u64, record: &mut SegmentRecord);
}

/// The socket comes typed from a tracepoint.
pub(crate) struct Typed;

/// The socket was found by walking from the file table.
pub(crate) struct Walked;

impl Access for Typed {
    #[inline(always)]
    fn sock<T: Copy + Default>(sock: u64, offset: u32) -> T {
        // SAFETY: only constructed around a tracepoint's argument.
        unsafe { direct(sock, offset) }
    }

    #[inline(always)]
    fn tcp(sock: u64) -> u64 {
        // SAFETY: the helper checks the type itself, and returns null for another protocol's.
        unsafe { aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock(sock as *mut _) as u64 }
    }

    #[inline(always)]
    fn stack_pointer() -> u64 {
        // SAFETY: the helpers return a typed pointer, which is only read through.
        unsafe {
            direct(bpf_task_pt_regs(bpf_get_current_task_btf()) as u64, setting!(OFFSETS.regs_sp))
        }
    }

    #[inline(always)]
    fn process(_: u64, record: &mut SegmentRecord) {
        let Process { start_ns, execs } = Process::typed();
        record.start_ns = start_ns;
        record.execs = execs;
    }
}

impl Access for Walked {
    #[inline(always)]
    fn sock<T: Copy + Default>(sock: u64, offset: u32) -> T {
        probe(sock, offset)
    }

    #[inline(always)]
    fn tcp(sock: u64) -> u64 {
        // A tcp_sock begins with its sock.
        sock
    }

    #[inline(always)]
    fn stack_pointer() -> u64 {
        // SAFETY: this CPU's, and written at the beginning of this program.
        CALLS.get_ptr(0).map_or(0, |call| unsafe { (*call).sp })
    }

    #[inline(always)]
    fn process(direction: u64, _: &mut SegmentRecord) {
        record_process(direction);
    }
}
