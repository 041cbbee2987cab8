//! What processes write to their logs: standard output, standard error, and files that user space names.
//!
//! A program of its own at the end of every system call, attached only where lines are wanted. What a write
//! goes to is told by its inode, not by its descriptor: nginx opens `/dev/stdout`, loggers duplicate
//! theirs. Sockets are the exception: a server has thousands of them, so only descriptors 1 and 2 themselves
//! are looked at, and only Unix sockets (systemd, drivers of log collectors) through which nothing is read.
//!
//! All bytes that the call has written are copied, in parts of [`LINE_WINDOW`], whatever their number of
//! buffers: where lines begin and end is user space's business.

use core::{
    arch::asm,
    mem::size_of,
    ptr::{read_volatile, write_volatile},
    slice,
};

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns,
        generated::bpf_probe_read_user as read_user_bytes,
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use sensor_ebpf::{
    abi::{
        KernelCounter, LineRecord, NO_FIELD, RecordKind, line_flag, line_stream, lines as taken,
    },
    limits::{LINE_CALL_MAX, LINE_WINDOW},
};

use super::{
    golang::{self, Goroutine},
    kernel::{Process, direct, masked, probe},
    maps::{
        GO, LINE_FILES_WANTED, LINE_PROCESSES, LINE_SCRATCH, LINES_LOST, LINES_RING, count, setting,
    },
    select,
    state::{LineFile, LineScratch},
    turn,
};

const S_IFMT: u16 = 0o170_000;
const S_IFIFO: u16 = 0o010_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFREG: u16 = 0o100_000;
const S_IFSOCK: u16 = 0o140_000;
const AF_UNIX: u16 = 1;

/// Bits of a minor number in the kernel's `dev_t` (include/linux/kdev_t.h).
const MINOR_BITS: u32 = 20;

/// Memory devices (Documentation/admin-guide/devices.txt): `/dev/null`, `/dev/zero`, `/dev/full`.
const MEM_MAJOR: u32 = 1;

/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): a 32-bit call, whose number means another one.
const TS_COMPAT: u32 = 2;

/// Most parts of a vector (`UIO_MAXIOV`).
const PARTS_MAX: u64 = 1024;

/// Steps of copying one call: what there is of a part, or fits into the window; or a record. Their product is more
/// than the parts and records that a call can have.
const TURNS: u32 = 56;
const STEPS: u32 = 32;
const _: () = assert!(
    TURNS as u64 * STEPS as u64 > PARTS_MAX + 2 * (LINE_CALL_MAX / LINE_WINDOW as u64 + 1),
    "a call may need more steps"
);

// match-proto: void trace_sys_exit(struct pt_regs *regs, long ret)
/// A call is over. Attached behind the engine's own program and `turns` at this place: what the thread has read
/// is known by then.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn lines(ctx: BtfTracePointContext) -> i32 {
    let regs: u64 = ctx.arg(0);
    // SAFETY: a typed argument of the tracepoint.
    let number: u64 = unsafe { direct(regs, setting!(OFFSETS.regs_number)) };
    let number = number as u32;
    let one = number == setting!(SYSCALLS.write) || number == setting!(SYSCALLS.pwrite64);
    if !one
        && number != setting!(SYSCALLS.writev)
        && number != setting!(SYSCALLS.pwritev)
        && number != setting!(SYSCALLS.pwritev2)
    {
        return 0;
    }
    let result: i64 = ctx.arg(1);
    if result <= 0 {
        return 0;
    }
    let thread = bpf_get_current_pid_tgid();
    let tgid = (thread >> 32) as u32;
    if !select::current(tgid) || !is_wanted(tgid) {
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
    let Some(scratch) = scratch(SLOT) else { return 0 };
    // SAFETY: typed arguments of the tracepoint.
    let arg = |offset: u32| -> u64 { unsafe { direct(regs, offset) } };
    let base = arg(setting!(OFFSETS.regs_arg1));
    let len = result as u64;
    let todo = if len < LINE_CALL_MAX { len } else { LINE_CALL_MAX };
    // Through memory, so that the verifier forgets which of the calls it is.
    // SAFETY: references are valid to write.
    unsafe {
        write_volatile(&mut scratch.parts, if one { 0 } else { base });
        write_volatile(&mut scratch.part_count, arg(setting!(OFFSETS.regs_arg2)));
        write_volatile(&mut scratch.part_next, 0);
        write_volatile(&mut scratch.base, base);
        write_volatile(&mut scratch.left, if one { todo } else { 0 });
        write_volatile(&mut scratch.todo, todo);
        write_volatile(&mut scratch.beyond, len.wrapping_sub(todo));
    }
    scratch.sp = if golang::is_known() { arg(setting!(OFFSETS.regs_sp)) } else { 0 };
    if line_target(task, arg(setting!(OFFSETS.regs_arg0)) & 0xffff_ffff) != 0 {
        line_writer(thread);
        copy();
    }
    0
}

/// Whether the lines of this process are wanted.
#[inline(always)]
fn is_wanted(tgid: u32) -> bool {
    match LINE_PROCESSES.get_ptr(tgid) {
        // SAFETY: a live map value; user space writes it in one byte.
        Some(verdict) => unsafe { *verdict != 0 },
        None => setting!(CONFIG.lines) == taken::TRACED,
    }
}

/// The only one of this CPU's working memories. (Functions take its number, because the verifier wants arguments
/// to be there, and the compiler leaves out those that nobody looks at.)
const SLOT: u64 = 0;

/// This CPU's working memory.
#[inline(always)]
fn scratch(slot: u64) -> Option<&'static mut LineScratch> {
    let scratch = LINE_SCRATCH.get_ptr_mut(slot as u32)?;
    // SAFETY: this CPU's, and this program's, which does not run twice at once on a CPU; no caller keeps a
    // reference across a call to the functions below.
    Some(unsafe { &mut *scratch })
}

/// The inode behind a pointer to a `file`.
#[inline(always)]
fn inode_of(file: u64) -> u64 {
    probe(file, setting!(OFFSETS.file_inode))
}

/// Takes down what descriptor `fd` of the current task is; 0 if it is no log. Global: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn line_target(task: u64, fd: u64) -> u64 {
    let files: u64 = probe(task, setting!(OFFSETS.task_files));
    let table: u64 = probe(files, setting!(OFFSETS.files_fdt));
    let max: u32 = probe(table, setting!(OFFSETS.fdtable_max_fds));
    if fd >= u64::from(max) {
        return 0;
    }
    // A table has 64 places at least (`NR_OPEN_DEFAULT`), so those of the first three are there.
    let array: u64 = probe(table, setting!(OFFSETS.fdtable_fd));
    let file_at = |fd: u64| -> u64 { probe(array.wrapping_add(fd.wrapping_mul(8)), 0) };
    let file = file_at(fd);
    let inode = inode_of(file);
    let mode: u16 = probe(inode, setting!(OFFSETS.inode_mode));
    let kind = mode & S_IFMT;
    if kind == S_IFSOCK {
        // The most frequent: what a server sends.
        if (fd != 1 && fd != 2) || !is_log_socket(file, inode, file_at(0)) {
            return 0;
        }
    } else if kind == S_IFCHR {
        let device: u32 = probe(inode, setting!(OFFSETS.inode_rdev));
        if device >> MINOR_BITS == MEM_MAJOR {
            return 0;
        }
    } else if kind != S_IFIFO && kind != S_IFREG {
        return 0;
    }
    let output = file_at(1);
    let stream = if output == file || inode_of(output) == inode {
        line_stream::STDOUT
    } else {
        let error = file_at(2);
        if error == file || inode_of(error) == inode {
            line_stream::STDERR
        } else if kind == S_IFREG && setting!(CONFIG.line_files) != 0 {
            line_stream::FILE
        } else {
            return 0;
        }
    };
    let super_block: u64 = probe(inode, setting!(OFFSETS.inode_sb));
    let key = LineFile {
        inode: probe(inode, setting!(OFFSETS.inode_ino)),
        device: probe(super_block, setting!(OFFSETS.sb_dev)),
        generation: probe(inode, setting!(OFFSETS.inode_generation)),
    };
    let mut flags = 0;
    if stream == line_stream::FILE {
        match LINE_FILES_WANTED.get_ptr(key) {
            // SAFETY: a live map value; user space writes it in one byte.
            Some(verdict) if unsafe { *verdict == 0 } => return 0,
            Some(_) => {}
            None => flags = line_flag::UNDECIDED,
        }
    }
    let Some(scratch) = scratch(SLOT) else { return 0 };
    let record = &mut scratch.record;
    record.kind = RecordKind::Line as u32;
    record.flags = flags;
    record.fd = fd as u32;
    record.stream = stream;
    record.inode = key.inode;
    record.device = key.device;
    record.generation = key.generation;
    1
}

/// Whether a socket that is descriptor 1 or 2 is a Unix socket, and not a conversation: one that is standard
/// input too is somebody to talk to (inetd).
#[inline(always)]
fn is_log_socket(file: u64, inode: u64, input: u64) -> bool {
    let socket: u64 = probe(file, setting!(OFFSETS.file_private_data));
    let sock: u64 = probe(socket, setting!(OFFSETS.socket_sk));
    let family: u16 = probe(sock, setting!(OFFSETS.sk_family));
    family == AF_UNIX && input != file && inode_of(input) != inode
}

/// Takes down who writes, and upon what. Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn line_writer(thread: u64) -> u64 {
    let Some(scratch) = scratch(SLOT) else { return 1 };
    // SAFETY: no memory is passed.
    let now = unsafe { bpf_ktime_get_ns() };
    let tgid = (thread >> 32) as u32;
    let mut goroutine = Goroutine::default();
    if scratch.sp != 0
        && let Some(program) = GO.get_ptr(tgid)
    {
        // SAFETY: a live map value; user space replaces it as a whole, and only when another program runs.
        goroutine = golang::current(unsafe { &*program }, scratch.sp);
    }
    let process = Process::current();
    let record = &mut scratch.record;
    record.time_ns = now;
    record.tgid = tgid;
    record.tid = thread as u32;
    record.start_ns = process.start_ns;
    record.execs = process.execs;
    record.goroutine = goroutine.id;
    record.goroutine_parent = goroutine.parent;
    record.cause_flow = 0;
    record.cause_position = 0;
    let flags = turn::writes_line(now);
    let Some(scratch) = self::scratch(SLOT) else { return 1 };
    scratch.record.flags |= flags;
    0
}

/// Copies what the call has written, as far as it can be read.
#[inline(always)]
fn copy() {
    let Some(scratch) = scratch(SLOT) else { return };
    scratch.len = 0;
    let mut turn = 0;
    while turn < TURNS {
        if line_steps(SLOT) != 0 {
            break;
        }
        turn += 1;
    }
    let Some(scratch) = self::scratch(SLOT) else { return };
    let lost = scratch.todo.wrapping_add(scratch.beyond);
    if scratch.len != 0 || lost != 0 {
        line_emit(lost);
    }
}

/// Some steps of copying; 1 ends it. Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn line_steps(slot: u64) -> u64 {
    let mut i = 0;
    while i < STEPS {
        if line_step(slot) != 0 {
            return 1;
        }
        i += 1;
    }
    0
}

/// One step; 1 ends it. Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn line_step(slot: u64) -> u64 {
    let Some(scratch) = scratch(slot) else { return 1 };
    if scratch.todo == 0 {
        return 1;
    }
    if scratch.len >= LINE_WINDOW as u64 {
        line_emit(0);
        return 0;
    }
    if scratch.left == 0 && !next_part(scratch) {
        return 1;
    }
    let room = (LINE_WINDOW as u64).wrapping_sub(scratch.len);
    let want = if scratch.left < room { scratch.left } else { room };
    let at = masked::<{ LINE_WINDOW as u64 - 1 }>(scratch.len);
    // SAFETY: the window holds what both masks allow; the helper checks the address.
    let failed = unsafe {
        read_user_bytes(
            scratch.window.as_mut_ptr().add(at as usize).cast(),
            masked::<{ 2 * LINE_WINDOW as u64 - 1 }>(want) as u32,
            scratch.base as *const _,
        )
    };
    if failed != 0 {
        return 1;
    }
    scratch.len = scratch.len.wrapping_add(want);
    scratch.base = scratch.base.wrapping_add(want);
    scratch.left = scratch.left.wrapping_sub(want);
    scratch.todo = scratch.todo.wrapping_sub(want);
    0
}

/// Goes to the next part of the call's vector.
#[inline(always)]
fn next_part(scratch: &mut LineScratch) -> bool {
    let next = scratch.part_next;
    if scratch.parts == 0 || next >= scratch.part_count || next >= PARTS_MAX {
        return false;
    }
    let at = scratch.parts.wrapping_add(next.wrapping_mul(16));
    scratch.part_next = next.wrapping_add(1);
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

/// Sends what is in the window, with `lost` bytes of the call after it that no record has. Never wakes the
/// reader. Global, likewise.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn line_emit(lost: u64) -> u64 {
    let Some(missing) = LINES_LOST.get_ptr_mut(0) else { return 1 };
    let Some(scratch) = scratch(SLOT) else { return 1 };
    let len = scratch.len;
    scratch.len = 0;
    scratch.record.copied = len as u32;
    scratch.record.lost_after = lost as u32;
    // SAFETY: a live map value, aligned.
    scratch.record.lost_records = unsafe { read_volatile(missing) };
    let size = (size_of::<LineRecord>() as u64)
        .wrapping_add(masked::<{ 2 * LINE_WINDOW as u64 - 1 }>(len)) as usize;
    // SAFETY: the window follows the record, and is longer than the mask.
    let bytes = unsafe { slice::from_raw_parts((&raw const scratch.record).cast::<u8>(), size) };
    if LINES_RING.output_untyped::<[u8]>(bytes, u64::from(BPF_RB_NO_WAKEUP)).is_ok() {
        count(KernelCounter::LinesRecords, 1);
        count(KernelCounter::LinesBytes, len);
        if lost != 0 {
            count(KernelCounter::LinesBytesLost, lost);
        }
        scratch.record.flags |= line_flag::CONTINUES;
    } else {
        // SAFETY: as above; all add to it likewise (see `count`).
        unsafe {
            asm!("lock *(u64 *)({slot} + 0) += {n}", slot = in(reg) missing, n = in(reg) 1u64);
        }
        count(KernelCounter::LinesLost, 1);
        count(KernelCounter::LinesBytesLost, len.wrapping_add(lost));
        // What follows does not go on where the writer's last record ended.
        scratch.record.flags &= !line_flag::CONTINUES;
    }
    0
}
