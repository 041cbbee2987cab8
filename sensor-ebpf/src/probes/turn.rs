//! What a thread acts on: what it had taken up last when it sent something.
//!
//! A thread that waits for one thing at a time is simple: what it read last is what it acts on, until it
//! takes up something else. One that waits for many descriptors at once (an event loop) acts on what came of
//! that wait, on timers, and on what other threads hand to it. Two things are told of it, and no more:
//!
//! **Alone** ([`segment_flag::CAUSE_ALONE`]). An *epoch* begins where the thread waits with a timeout other
//! than zero: no loop does that while it has anything left to do (libuv has no immediates or closing handles
//! then, asyncio nothing in `_ready`, Netty and tokio no task). So all that it does until it waits again has
//! its cause in what it took up in the epoch, or in a timer that was set before, or in other threads. It is
//! the one read's, if
//!
//! - the waits in the epoch have told of one event only, those with a timeout of zero included: asyncio runs
//!   what a read has woken in the next iteration, and libuv its immediates;
//! - one flow was read, and nothing else taken up (*foreign*): no pipe, eventfd or file, no message, no
//!   connection that came about, no futex that was waited for;
//! - no timer of before can fire yet. The earliest is what the timeout was made for: since the thread's last
//!   wait before it (no loop's idea of the time is older) so much has to pass, less what is rounded
//!   ([`ROUNDING`]). Who sets a `timerfd` has timers that are not seen so, and is told nothing of;
//! - all other threads of the process have slept all the time, from the wait's return until now. Otherwise
//!   one could have handed something over without a system call of the receiver's: Netty's executors to
//!   their loop (it wakes a loop by a descriptor only when it sleeps), asyncio's `call_soon_threadsafe` in
//!   the moment before it wakes the loop, a worker of tokio whose tasks others take. That costs causes where
//!   many threads work; it needs no knowledge of any runtime. (What is relied on: none goes to sleep between
//!   handing something over and waking the loop.)
//!
//! **The turn** (a cause without that flag). In a thread that multiplexes: its last wait has told of more
//! events than the thread has taken up since, so it is still going through them, and this is what it took up
//! last: libuv, nginx and Netty call what belongs to an event before they turn to the next, asyncio its
//! protocols. What comes after the last of them (immediates, timers, tasks) cannot be told from what
//! that one does, so nothing is told then. It is weaker than *alone*: an event that leads to no call is
//! taken for one to come, and tokio's tasks are run in an order of their own.
//!
//! In a thread that waits for one thing at a time what it has read last is what it acts on, if its reads
//! block: one that reads without waiting may change between coroutines without a system call, and is
//! told nothing of.
//!
//! What no kernel can see is work that one exchange leaves for another in memory: a request that waits
//! for another's connection, or for a semaphore, goes out when the other's response was read. The cause
//! told is then what set it going, not on whose behalf it goes.
//!
//! Not followed, and without a cause: threads that use io_uring, 32-bit system calls, and signal handlers.
//! Where runs of a program may be missed (Linux 6.19 and newer), user space takes notice and says until when
//! ([`MISSED_UNTIL`]): nothing that began before is told.
//!
//! The state is written by its own thread only. Which system calls matter comes from user space
//! ([`sensor_ebpf::abi::TurnCalls`]): all others leave after one look into that table.

use core::ptr::read_volatile;

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_user,
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use sensor_ebpf::{
    abi::{NO_FIELD, segment_flag, turn_call},
    limits::THREADS_ASIDE,
};

use super::{
    call::Direction,
    flow,
    kernel::{direct, masked, probe},
    maps::{LINE_SCRATCH, MISSED_UNTIL, SCRATCH, TURN_CALLS, TURNS, setting},
    select,
    syscall::{self, Found},
};

/// A timeout may be rounded up to milliseconds (asyncio), and counted from a time that was rounded down
/// (libuv).
const ROUNDING: u64 = 2_000_000;

/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call.
const TS_COMPAT: u32 = 2;

const EAGAIN: i64 = -11;
const SOL_SOCKET: u32 = 1;
const SO_ERROR: u32 = 4;
/// Commands of `futex` (include/uapi/linux/futex.h) that wait.
const FUTEX_WAITS: u32 = 1 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 13;

/// What is known of a thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// The flow that was read last, and where its received direction stood after that.
    read_flow: u64,
    read_position: u64,
    read_ns: u64,
    /// When the epoch began: the wait's return.
    began_ns: u64,
    /// When the thread last returned from a wait, with whatever timeout.
    returned_ns: u64,
    /// No timer of before the epoch can fire before this.
    due_ns: u64,
    /// [`others`] when the epoch began.
    others: u64,
    /// Events that the waits of the epoch have told of.
    events: u32,
    /// Reads in it; of one flow straight after another count once.
    reads: u32,
    /// Events that the last wait, with whatever timeout, has told of.
    batch: u32,
    /// What was taken up since.
    taken: u32,
    /// Bits of [`state`].
    state: u32,
    reserved: u32,
}

/// A thread that nothing is known of.
static FRESH: Turn = Turn {
    read_flow: 0,
    read_position: 0,
    read_ns: 0,
    began_ns: 0,
    returned_ns: 0,
    due_ns: 0,
    others: 0,
    events: 0,
    reads: 0,
    batch: 0,
    taken: 0,
    state: 0,
    reserved: 0,
};

/// Bits of [`Turn::state`].
mod state {
    /// Nothing was taken up since the last read, and the thread has not waited.
    pub(super) const VALID: u32 = 1;
    /// Something that is no flow was taken up in the epoch.
    pub(super) const FOREIGN: u32 = 2;
    /// The thread waits for several descriptors at once.
    pub(super) const MULTIPLEXES: u32 = 4;
    /// The call under way has read a flow.
    pub(super) const IN_CALL: u32 = 8;
    /// The last read was not to wait.
    pub(super) const NONBLOCKING: u32 = 16;
    /// The thread takes up what is not seen: it is told nothing of.
    pub(super) const BARRED: u32 = 32;
}

/// How long a call was to wait at most.
#[derive(Clone, Copy)]
struct Timeout {
    /// Nanoseconds; the maximum means for ever.
    ns: u64,
    known: bool,
}

impl Timeout {
    const FOREVER: Self = Self { ns: u64::MAX, known: true };
    const UNKNOWN: Self = Self { ns: 0, known: false };

    /// As `poll` and `epoll_wait` have it.
    #[inline(always)]
    fn millis(argument: u64) -> Self {
        let ms = argument as i32;
        if ms < 0 { Self::FOREVER } else { Self { ns: ms as u64 * 1_000_000, known: true } }
    }

    /// A pair of seconds and, so many nanoseconds each, a fraction of them. With `remains` the kernel has
    /// left there what remained of it: where that is nothing, it may have been nothing or have elapsed.
    #[inline(always)]
    fn pair(pointer: u64, unit: u64, remains: bool) -> Self {
        if pointer == 0 {
            return Self::FOREVER;
        }
        // SAFETY: the helper checks the address.
        let Ok([seconds, fraction]) = (unsafe { bpf_probe_read_user(pointer as *const [u64; 2]) })
        else {
            return Self::UNKNOWN;
        };
        // Centuries; and no overflow below.
        if seconds > 1 << 33 || fraction > 1 << 30 {
            return Self::FOREVER;
        }
        let ns = seconds.wrapping_mul(1_000_000_000).wrapping_add(fraction.wrapping_mul(unit));
        Self { ns, known: !remains || ns != 0 }
    }
}

/// The state of a thread, which begins if there is none yet.
#[inline(always)]
fn entry(thread: u64) -> Option<&'static mut Turn> {
    let mut turn = TURNS.get_ptr_mut(thread);
    if turn.is_none() {
        let _ = TURNS.insert(thread, &FRESH, 0);
        turn = TURNS.get_ptr_mut(thread);
    }
    // SAFETY: a live map value, written by this thread only; at worst it is another thread's by now, if so
    // many came at once, and wrong neither for this one, which has none then, nor for that one: it is fresh.
    turn.map(|turn| unsafe { &mut *turn })
}

/// The state of a thread, if there is one.
#[inline(always)]
fn known(thread: u64) -> Option<&'static mut Turn> {
    // SAFETY: as above.
    TURNS.get_ptr_mut(thread).map(|turn| unsafe { &mut *turn })
}

/// The thread has read from a flow, which now stands at `position`: in a call that is not to wait, if
/// `nonblocking`. Says with what flags a record of that goes out. Global: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn turn_read(flow: u64, position: u64, nonblocking: u64) -> u64 {
    let Some(turn) = entry(bpf_get_current_pid_tgid()) else { return 0 };
    let same = turn.read_flow == flow;
    if !same || turn.reads == 0 {
        turn.reads = turn.reads.saturating_add(1);
    }
    if !same || turn.state & state::VALID == 0 {
        turn.taken = turn.taken.saturating_add(1);
    }
    turn.read_flow = flow;
    turn.read_position = position;
    // SAFETY: no memory is passed.
    turn.read_ns = unsafe { bpf_ktime_get_ns() };
    turn.state &= !state::NONBLOCKING;
    turn.state |= state::VALID | state::IN_CALL;
    if nonblocking != 0 {
        turn.state |= state::NONBLOCKING;
    }
    if turn.state & state::MULTIPLEXES != 0 { u64::from(segment_flag::MULTIPLEXES) } else { 0 }
}

/// Puts what the thread acts on at `now` into the record that is begun of what it sends, or, if `line` is not 0,
/// of what it writes to its log. Says with what flags that goes out. Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn turn_cause(now: u64, line: u64) -> u64 {
    let Some(turn) = known(bpf_get_current_pid_tgid()) else { return 0 };
    let multiplexes = turn.state & state::MULTIPLEXES != 0;
    let mut flags = if multiplexes { segment_flag::MULTIPLEXES } else { 0 };
    if turn.state & state::BARRED != 0 {
        return u64::from(flags);
    }
    let Some(missed) = MISSED_UNTIL.get_ptr(0) else { return u64::from(flags) };
    // SAFETY: a live map value, which user space writes in one piece.
    let missed = unsafe { read_volatile(missed) };
    let alone = multiplexes
        && turn.events == 1
        && turn.reads == 1
        && turn.state & state::FOREIGN == 0
        && now < turn.due_ns
        && turn.began_ns > missed
        && turn.others != 0
        // SAFETY: no memory is passed.
        && turn.others == others(unsafe { bpf_get_current_task() });
    let whole =
        if multiplexes { turn.taken < turn.batch } else { turn.state & state::NONBLOCKING == 0 };
    if alone {
        flags |= segment_flag::CAUSE_ALONE;
    } else if !whole || turn.state & state::VALID == 0 || turn.read_ns <= missed {
        return u64::from(flags);
    }
    if line != 0 {
        if let Some(scratch) = LINE_SCRATCH.get_ptr_mut(0) {
            // SAFETY: this CPU's, and that program's: it asks.
            let record = unsafe { &mut (*scratch).record };
            record.cause_flow = turn.read_flow;
            record.cause_position = turn.read_position;
        }
    } else if let Some(scratch) = SCRATCH.get_ptr_mut(Direction::Send as u32) {
        // SAFETY: this CPU's, and this direction's: nothing else uses it while the program runs.
        let record = unsafe { &mut (*scratch).record };
        record.cause_flow = turn.read_flow;
        record.cause_position = turn.read_position;
    }
    u64::from(flags)
}

/// The thread has read from a flow: see [`turn_read`].
#[inline(always)]
pub(crate) fn read(flow: u64, position: u64, nonblocking: bool) {
    turn_read(flow, position, u64::from(nonblocking));
}

/// The thread has received so many bytes, or sends: see [`turn_read`] and [`turn_cause`]. Puts what comes of
/// it into the record that is begun in that direction's scratch memory.
#[inline(always)]
pub(crate) fn acts(direction: u64, len: u64) {
    turn_acts(direction, len);
}

/// The thread writes to its log at `now`: see [`turn_cause`]. The record is begun in [`LINE_SCRATCH`].
#[inline(always)]
pub(crate) fn writes_line(now: u64) -> u32 {
    if setting!(CONFIG.causes) == 0 { 0 } else { turn_cause(now, 1) as u32 }
}

/// Global, because the functions that it is called from have no room left on the stack of old kernels.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn turn_acts(direction: u64, len: u64) -> u64 {
    let index = masked::<1>(direction) as u32;
    let Some(scratch) = SCRATCH.get_ptr_mut(index) else { return 0 };
    // SAFETY: this CPU's, and this direction's: nothing else uses it while the program runs.
    let scratch = unsafe { &mut *scratch };
    let flags = if index == Direction::Receive as u32 {
        let nonblocking = scratch.record.flags & segment_flag::NONBLOCKING;
        let after = scratch.dir.position.wrapping_add(len);
        turn_read(scratch.record.ident.flow, after, u64::from(nonblocking))
    } else {
        turn_cause(scratch.record.time_ns, 0)
    };
    scratch.record.flags |= flags as u32;
    0
}

/// The current thread ends, or becomes another program's.
#[inline(always)]
pub(crate) fn forget() {
    if setting!(CONFIG.causes) != 0 {
        let _ = TURNS.remove(bpf_get_current_pid_tgid());
    }
}

/// A word that stays the same as long as all other threads of the task's process sleep, and no other has
/// come or gone; 0 if one does not sleep, or it cannot be told. Global, likewise.
///
/// A thread that ran in between has been switched out since, which counts, or is not asleep. (One whose
/// state says that it sleeps may still be on its CPU, on its way into sleep.)
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn others(task: u64) -> u64 {
    let signal: u64 = probe(task, setting!(OFFSETS.task_signal));
    let threads: u32 = probe(signal, setting!(OFFSETS.signal_nr_threads));
    if threads == 1 {
        return 1;
    }
    if threads > THREADS_ASIDE + 1
        || setting!(OFFSETS.signal_thread_head) == NO_FIELD
        || setting!(OFFSETS.task_thread_node) == NO_FIELD
        || setting!(OFFSETS.task_state) == NO_FIELD
        || setting!(OFFSETS.task_on_cpu) == NO_FIELD
        || setting!(OFFSETS.task_nvcsw) == NO_FIELD
        || setting!(OFFSETS.task_nivcsw) == NO_FIELD
    {
        return 0;
    }
    let head = signal.wrapping_add(u64::from(setting!(OFFSETS.signal_thread_head)));
    let mut node: u64 = probe(head, 0);
    let mut word = u64::from(threads);
    let mut left = threads;
    let mut i = 0;
    // One turn more, to come back to the head.
    while i < THREADS_ASIDE + 2 {
        if node == head || node == 0 {
            break;
        }
        let other = node.wrapping_sub(u64::from(setting!(OFFSETS.task_thread_node)));
        if other != task {
            let asleep: u32 = probe(other, setting!(OFFSETS.task_state));
            let on_cpu: u8 = probe(other, setting!(OFFSETS.task_on_cpu));
            if asleep == 0 || on_cpu != 0 {
                return 0;
            }
            let voluntary: u64 = probe(other, setting!(OFFSETS.task_nvcsw));
            let forced: u64 = probe(other, setting!(OFFSETS.task_nivcsw));
            // In the list's order, which stays.
            word = word
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(voluntary.wrapping_add(forced));
        }
        left = left.wrapping_sub(1);
        node = probe(node, 0);
        i += 1;
    }
    if node != head || left != 0 {
        return 0;
    }
    if word == 0 { 1 } else { word }
}

// match-proto: void trace_sys_exit(struct pt_regs *regs, long ret)
/// A call is over. Attached behind the engine's own program at this place, which says what was read.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn turns(ctx: BtfTracePointContext) -> i32 {
    let regs: u64 = ctx.arg(0);
    // SAFETY: a typed argument of the tracepoint.
    let number: u64 = unsafe { direct(regs, setting!(OFFSETS.regs_number)) };
    if number > 511 {
        return 0;
    }
    // SAFETY: within the table. Volatile: user space has set it since the compiler saw it.
    let call = unsafe { read_volatile(TURN_CALLS.as_ptr().add(masked::<511>(number) as usize)) };
    if call == turn_call::NONE {
        return 0;
    }
    let result: i64 = ctx.arg(1);
    // SAFETY: a typed argument of the tracepoint.
    let arg1: u64 = unsafe { direct(regs, setting!(OFFSETS.regs_arg1)) };
    // What ends here is the most frequent: nothing to read, nobody waited for.
    if (call == turn_call::READ && result == EAGAIN)
        || (call == turn_call::FUTEX && FUTEX_WAITS >> (arg1 & 31) & 1 == 0)
    {
        return 0;
    }
    let thread = bpf_get_current_pid_tgid();
    if !select::current((thread >> 32) as u32) {
        return 0;
    }
    // SAFETY: no memory is passed.
    let task = unsafe { bpf_get_current_task() };
    if setting!(OFFSETS.task_compat_status) != NO_FIELD {
        let status: u32 = probe(task, setting!(OFFSETS.task_compat_status));
        if status & TS_COMPAT != 0 {
            return 0;
        }
    }
    // SAFETY: a typed argument of the tracepoint.
    let arg = |offset: u32| -> u64 { unsafe { direct(regs, offset) } };
    let timeout = if call == turn_call::EPOLL {
        Timeout::millis(arg(setting!(OFFSETS.regs_arg3)))
    } else if call == turn_call::POLL {
        Timeout::millis(arg(setting!(OFFSETS.regs_arg2)))
    } else if call == turn_call::EPOLL_TIMESPEC {
        Timeout::pair(arg(setting!(OFFSETS.regs_arg3)), 1, false)
    } else if call == turn_call::POLL_TIMESPEC {
        Timeout::pair(arg(setting!(OFFSETS.regs_arg2)), 1, true)
    } else if call == turn_call::SELECT {
        Timeout::pair(arg(setting!(OFFSETS.regs_arg4)), 1000, true)
    } else if call == turn_call::SELECT_TIMESPEC {
        Timeout::pair(arg(setting!(OFFSETS.regs_arg4)), 1, true)
    } else {
        // Of the calls that come here only `getsockopt` has a third argument that matters.
        let option = if call == turn_call::GETSOCKOPT {
            if arg1 as u32 != SOL_SOCKET || arg(setting!(OFFSETS.regs_arg2)) as u32 != SO_ERROR {
                return 0;
            }
            arg(setting!(OFFSETS.regs_arg0))
        } else {
            0
        };
        turn_other_call(thread, u64::from(call), result, option);
        return 0;
    };
    // The descriptors that `select` waited for are not known any more: several, it may be.
    if (call == turn_call::POLL || call == turn_call::POLL_TIMESPEC) && arg1 <= 1 {
        // Waiting for one thing; but when that did not come, what follows is a timer's.
        let looked = result == 0 && timeout.known && timeout.ns == 0;
        if result <= 0 && !looked {
            foreign(thread);
        }
        return 0;
    }
    waited(thread, task, result, timeout);
    0
}

/// The thread has waited for several descriptors, or looked whether there is something.
#[inline(always)]
fn waited(thread: u64, task: u64, result: i64, timeout: Timeout) {
    let Some(turn) = entry(thread) else { return };
    // SAFETY: no memory is passed.
    let now = unsafe { bpf_ktime_get_ns() };
    let before = turn.returned_ns;
    turn.returned_ns = now;
    turn.state &= !(state::VALID | state::IN_CALL);
    turn.state |= state::MULTIPLEXES;
    let events = if result > 0 { result as u32 } else { 0 };
    turn.batch = events;
    turn.taken = 0;
    if timeout.known && timeout.ns == 0 {
        turn.events = turn.events.saturating_add(events);
        if result < 0 {
            turn.state |= state::FOREIGN;
        }
        return;
    }
    turn.state &= !state::FOREIGN;
    if result <= 0 || !timeout.known {
        // A timer, a signal, or who knows.
        turn.state |= state::FOREIGN;
    }
    turn.began_ns = now;
    turn.events = events;
    turn.reads = 0;
    turn.due_ns = if timeout.ns == u64::MAX {
        u64::MAX
    } else if before == 0 {
        0
    } else {
        before.wrapping_add(timeout.ns.saturating_sub(ROUNDING))
    };
    turn.others = if events == 1 { others(task) } else { 0 };
}

/// A call that does not wait for descriptors; `fd` is that of a socket which was asked for its error.
/// Global: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn turn_other_call(thread: u64, call: u64, result: i64, fd: u64) -> u64 {
    let call = call as u8;
    if call == turn_call::IO_URING || call == turn_call::TIMER {
        if let Some(turn) = entry(thread) {
            turn.state |= state::BARRED;
        }
        return 0;
    }
    let Some(turn) = known(thread) else { return 0 };
    if call == turn_call::ACCEPT {
        turn.taken = turn.taken.saturating_add(1);
        if result >= 0 {
            turn.state &= !state::VALID;
        }
    } else if call == turn_call::READ && turn.state & state::IN_CALL != 0 {
        turn.state &= !state::IN_CALL;
    } else if call != turn_call::GETSOCKOPT || !has_carried(fd) {
        take_foreign(turn);
    }
    0
}

/// Whether bytes went through the socket of this descriptor: then it does not matter that its error is
/// asked for (nginx does so before each request). Else a connection may just have come about.
#[inline(always)]
fn has_carried(fd: u64) -> bool {
    // SAFETY: no memory is passed.
    let task = unsafe { bpf_get_current_task() };
    let Some(Found { sock, inode }) = syscall::socket(task, fd, &mut 0) else { return false };
    flow::find(sock, probe(sock, setting!(OFFSETS.sk_cookie)), inode).is_some()
}

/// The thread has taken up something that is no flow.
#[inline(always)]
fn foreign(thread: u64) {
    if let Some(turn) = known(thread) {
        take_foreign(turn);
    }
}

#[inline(always)]
fn take_foreign(turn: &mut Turn) {
    turn.taken = turn.taken.saturating_add(1);
    turn.state |= state::FOREIGN;
    turn.state &= !state::VALID;
}
