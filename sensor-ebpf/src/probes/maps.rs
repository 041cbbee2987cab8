//! The maps, the frozen configuration, and the counters.

use core::arch::asm;

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use sensor_ebpf::{
    abi::{
        Config, EndRecord, GoProgram, KERNEL_COUNTERS, KernelCounter, Offsets, Syscalls, TurnCalls,
        Verdict,
    },
    limits::{FLOWS, GO_ASKED, GO_PROCESSES, LINE_FILES, PROCESSES, THREADS},
};

use super::{
    state::{Asked, Call, Ends, ExecScratch, Flow, LineFile, LineScratch, Scratch, Vector},
    turn::Turn,
};

/// Everything that user space hears. User space sets its size.
#[btf_map]
pub(crate) static RING: RingBuf<u8, { 16 * 1024 * 1024 }> = RingBuf::new();

/// What processes write to their logs. A ring of its own, so that a flood of lines takes no room from exchanges.
/// User space sets its size: one page where no lines are wanted.
#[btf_map]
pub(crate) static LINES_RING: RingBuf<u8, { 8 * 1024 * 1024 }> = RingBuf::new();

/// Whether the lines of a process are wanted, as user space says: 1 or 0. Where it has said nothing, that is
/// what [`Config::lines`] says of traced processes.
#[btf_map]
pub(crate) static LINE_PROCESSES: HashMap<u32, u8, { PROCESSES as usize }> = HashMap::new();

/// Whether what is written to a file is wanted, as user space says: 1 or 0.
#[btf_map]
pub(crate) static LINE_FILES_WANTED: LruHashMap<LineFile, u8, { LINE_FILES as usize }> =
    LruHashMap::new();

/// How many records [`LINES_RING`] could not take until now.
#[btf_map]
pub(crate) static LINES_LOST: Array<u64, 1> = Array::new();

/// Working memory for what is written to logs.
#[btf_map]
pub(crate) static LINE_SCRATCH: PerCpuArray<LineScratch, 1> = PerCpuArray::new();

/// Tracked sockets, by the address of their `sock`. The address may be used again: each entry
/// carries what tells one socket from the next.
#[btf_map]
pub(crate) static FLOWS_BY_SOCK: LruHashMap<u64, Flow, { FLOWS as usize }> = LruHashMap::new();

/// Verdicts of user space on processes, by process id.
#[btf_map]
pub(crate) static VERDICTS: HashMap<u32, Verdict, { PROCESSES as usize }> = HashMap::new();

/// Programs written in Go, by process id. User space fills it; ended and replaced programs are removed here.
#[btf_map]
pub(crate) static GO: HashMap<u32, GoProgram, { GO_PROCESSES as usize }> = HashMap::new();

/// Who asks what will be sent next on a connection of Go's HTTP client, by the address of its `sock`.
#[btf_map]
pub(crate) static ASKED: LruHashMap<u64, Asked, { GO_ASKED as usize }> = LruHashMap::new();

/// The sensor's own sockets that are connecting, by the address of their `sock`.
#[btf_map]
pub(crate) static OWN_SOCKS: LruHashMap<u64, u8, 256> = LruHashMap::new();

/// Connections of the sensor itself, by their peer's local end: never traced there either.
#[btf_map]
pub(crate) static OWN_PEERS: LruHashMap<Ends, u8, 1024> = LruHashMap::new();

/// Where a thread stands in the vector of a `sendmmsg` or `recvmmsg`, by thread id.
#[btf_map]
pub(crate) static VECTORS: LruHashMap<u64, Vector, 1024> = LruHashMap::new();

/// What a thread acts on, by process and thread id.
#[btf_map]
pub(crate) static TURNS: LruHashMap<u64, Turn, { THREADS as usize }> = LruHashMap::new();

/// Until when runs of the programs were missed, in nanoseconds of `CLOCK_MONOTONIC`, as user space
/// has noticed: what began before is not known.
#[btf_map]
pub(crate) static MISSED_UNTIL: Array<u64, 1> = Array::new();

/// One slot for each [`KernelCounter`].
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { KERNEL_COUNTERS.len() }> = PerCpuArray::new();

/// Working memory for each direction: a softirq that receives may interrupt a send.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<Scratch, 2> = PerCpuArray::new();

/// Working memory for end records: those of a call, and those of a state change in a softirq.
#[btf_map]
pub(crate) static END_SCRATCH: PerCpuArray<EndRecord, 2> = PerCpuArray::new();

/// Working memory for the records of processes: that of an exec, and that of an exit.
#[btf_map]
pub(crate) static EXEC_SCRATCH: PerCpuArray<ExecScratch, 2> = PerCpuArray::new();

/// Where the engine *syscall* puts what it knows of a call: see [`crate::probes::syscall`].
#[btf_map]
pub(crate) static CALLS: PerCpuArray<Call, 1> = PerCpuArray::new();

/// How far flow numbers have come on each CPU, for each direction: where tracepoints can be
/// preempted, a receive may come between a send's reading of its count and its writing.
#[btf_map]
pub(crate) static FLOW_NUMBERS: PerCpuArray<u64, 2> = PerCpuArray::new();

#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::NONE;

#[unsafe(no_mangle)]
pub(crate) static SYSCALLS: Syscalls = Syscalls::NONE;

#[unsafe(no_mangle)]
pub(crate) static TURN_CALLS: TurnCalls = [0; 512];

#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::ALL;

/// A field of [`OFFSETS`], [`SYSCALLS`] or [`CONFIG`].
macro_rules! setting {
    ($static:ident . $($field:tt)+) => {
        $crate::probes::maps::load(&$crate::probes::maps::$static.$($field)+)
    };
}
pub(crate) use setting;

/// Reads a setting. Volatile, because user space has set it since the compiler saw it; the verifier
/// sees a constant.
#[inline(always)]
pub(crate) fn load<T: Copy>(setting: &T) -> T {
    // SAFETY: a reference is valid to read, and aligned.
    unsafe { core::ptr::read_volatile(setting) }
}

/// Adds to a counter of this CPU, in one instruction: another program may come in between a read
/// and a write (a state change in a softirq; from Linux 7 on any, by preemption), and its count
/// would be lost. That costs 2 to 3 ns more than a plain addition, which a call pays at most twice
/// for a record: no reason to make a difference between losses and statistics.
#[inline(always)]
pub(crate) fn count(counter: KernelCounter, n: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // Written out, because the library has no atomic additions for this target: those that give
        // the old value came with Linux 5.12. This one does not.
        // SAFETY: the slot is aligned, and lives as long as the map; all others add to it likewise.
        unsafe {
            asm!("lock *(u64 *)({slot} + 0) += {n}", slot = in(reg) slot, n = in(reg) n);
        }
    }
}
