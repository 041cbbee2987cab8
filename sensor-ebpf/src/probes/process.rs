//! The life of processes. A fork copies the parent's verdict and is reported, an exec is reported
//! with the program's arguments and environment, and an exit removes what is kept of the process.

use core::mem::size_of;

use aya_ebpf::{
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_ktime_get_ns,
        generated::bpf_probe_read_user,
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use sensor_ebpf::{
    abi::{ProcessRecord, RecordKind, Verdict, lines, mode, process_flag},
    limits::{ARGS_MAX, ENV_MAX},
};

use super::{
    emit,
    kernel::{Process, masked, probe},
    maps::{EXEC_SCRATCH, GO, LINE_PROCESSES, VERDICTS, setting},
    select,
    state::ExecScratch,
    turn,
};

// match-proto: void trace_sched_process_fork(struct task_struct *parent, struct task_struct *child)
/// A process was born, or a thread.
#[btf_tracepoint(function = "sched_process_fork")]
pub(crate) fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: u64 = ctx.arg(0);
    let child: u64 = ctx.arg(1);
    let pid: u32 = probe(child, setting!(OFFSETS.task_pid));
    let tgid: u32 = probe(child, setting!(OFFSETS.task_tgid));
    if pid != tgid {
        return 0;
    }
    // An earlier process with this id may have left entries, if its exit was missed.
    let _ = GO.remove(tgid);
    forget_lines(tgid);
    let child = Process::of(child);
    let copied = Process::of(parent);
    let parent: u32 = probe(parent, setting!(OFFSETS.task_tgid));
    if setting!(CONFIG.mode) != mode::ALL {
        match select::verdict(parent, || copied) {
            Some(verdict) => {
                let Process { start_ns, execs } = child;
                let inherited = Verdict { start_ns, execs, told: 0, ..verdict };
                let _ = VERDICTS.insert(tgid, inherited, 0);
            }
            None => {
                let _ = VERDICTS.remove(tgid);
            }
        }
    }
    if !select::process(parent, || copied) {
        return 0;
    }
    let record = ProcessRecord {
        kind: RecordKind::Process as u32,
        flags: process_flag::FORK,
        // SAFETY: no memory is passed.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid,
        parent,
        start_ns: child.start_ns,
        parent_start_ns: copied.start_ns,
        execs: child.execs,
        padding: 0,
        cgroup: 0,
        comm: [0; 16],
        args_len: 0,
        env_len: 0,
    };
    // SAFETY: the whole record.
    unsafe { emit::put(core::ptr::from_ref(&record).cast(), size_of::<ProcessRecord>()) };
    0
}

// match-proto: void trace_sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
/// A process runs another program.
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let task: u64 = ctx.arg(0);
    turn::forget();
    let tgid: u32 = probe(task, setting!(OFFSETS.task_tgid));
    let _ = GO.remove(tgid);
    forget_lines(tgid);
    // A negative verdict on the previous program does not count for the new one.
    if !select::process(tgid, || Process::of(task)) {
        return 0;
    }
    let Some(scratch) = EXEC_SCRATCH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's, and no other program's.
    let scratch = unsafe { &mut *scratch };
    begin(scratch, task, tgid, process_flag::EXEC);
    let mm: u64 = probe(task, setting!(OFFSETS.task_mm));
    let start: u64 = probe(mm, setting!(OFFSETS.mm_arg_start));
    let end: u64 = probe(mm, setting!(OFFSETS.mm_arg_end));
    let mut args = end.wrapping_sub(start);
    if args > ARGS_MAX as u64 {
        args = ARGS_MAX as u64;
        scratch.record.flags |= process_flag::ARGS_CUT;
    }
    // SAFETY: the payload holds ARGS_MAX and ENV_MAX bytes; the helper checks the address.
    unsafe {
        if bpf_probe_read_user(scratch.payload.as_mut_ptr().cast(), args as u32, start as *const _)
            != 0
        {
            args = 0;
        }
    }
    let start: u64 = probe(mm, setting!(OFFSETS.mm_env_start));
    let end: u64 = probe(mm, setting!(OFFSETS.mm_env_end));
    let mut env = end.wrapping_sub(start);
    if env > ENV_MAX as u64 {
        env = ENV_MAX as u64;
        scratch.record.flags |= process_flag::ENV_CUT;
    }
    let args = masked::<{ 2 * ARGS_MAX as u64 - 1 }>(args);
    if args > ARGS_MAX as u64 {
        return 0;
    }
    // SAFETY: as above.
    unsafe {
        let to = scratch.payload.as_mut_ptr().add(args as usize);
        if bpf_probe_read_user(
            to.cast(),
            masked::<{ 2 * ENV_MAX as u64 - 1 }>(env) as u32,
            start as *const _,
        ) != 0
        {
            env = 0;
        }
    }
    scratch.record.args_len = args as u32;
    scratch.record.env_len = env as u32;
    let len = size_of::<ProcessRecord>() as u64 + args + env;
    if len > size_of::<ExecScratch>() as u64 {
        return 0;
    }
    // SAFETY: the payload follows the record.
    unsafe {
        emit::put(
            (&raw const scratch.record).cast(),
            masked::<{ 4 * ENV_MAX as u64 - 1 }>(len) as usize,
        )
    };
    0
}

// match-proto: void trace_sched_process_exit(struct task_struct *p)
/// A thread ended; the last one takes the process with it.
#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let task: u64 = ctx.arg(0);
    turn::forget();
    let signal: u64 = probe(task, setting!(OFFSETS.task_signal));
    let live: i32 = probe(signal, setting!(OFFSETS.signal_live));
    if live != 0 {
        return 0;
    }
    let tgid: u32 = probe(task, setting!(OFFSETS.task_tgid));
    let process = Process::of(task);
    let heard = select::process(tgid, || process)
        || select::verdict(tgid, || process).is_some_and(|verdict| verdict.told != 0);
    let _ = VERDICTS.remove(tgid);
    let _ = GO.remove(tgid);
    forget_lines(tgid);
    if !heard {
        return 0;
    }
    let Some(scratch) = EXEC_SCRATCH.get_ptr_mut(1) else {
        return 0;
    };
    // SAFETY: this CPU's, and no other program's.
    let scratch = unsafe { &mut *scratch };
    begin(scratch, task, tgid, process_flag::EXIT);
    // SAFETY: the whole record.
    unsafe { emit::put((&raw const scratch.record).cast(), size_of::<ProcessRecord>()) };
    0
}

/// User space decides anew on the lines of this process, if it has any.
#[inline(always)]
fn forget_lines(tgid: u32) {
    if setting!(CONFIG.lines) != lines::OFF {
        let _ = LINE_PROCESSES.remove(tgid);
    }
}

#[inline(always)]
fn begin(scratch: &mut ExecScratch, task: u64, tgid: u32, flags: u32) {
    let Process { start_ns, execs } = Process::of(task);
    let parent: u64 = probe(task, setting!(OFFSETS.task_real_parent));
    scratch.record = ProcessRecord {
        kind: RecordKind::Process as u32,
        flags,
        // SAFETY: no memory is passed.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid,
        parent: probe(parent, setting!(OFFSETS.task_tgid)),
        start_ns,
        parent_start_ns: Process::of(parent).start_ns,
        execs,
        padding: 0,
        // SAFETY: no memory is passed.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        comm: bpf_get_current_comm().unwrap_or_default(),
        args_len: 0,
        env_len: 0,
    };
}
