//! Processes: children inherit their parent's verdict, programs introduce themselves, and the end
//! is seen.

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
    abi::{ProcessRecord, RecordKind, lines, mode, process_flag},
    limits::{ARGS_MAX, ENV_MAX},
};

use super::{
    emit,
    kernel::{masked, probe},
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
    let parent: u32 = probe(parent, setting!(OFFSETS.task_tgid));
    if let Some(verdict) = VERDICTS.get_ptr(parent) {
        // SAFETY: a live map value.
        let verdict = unsafe { *verdict };
        let _ = VERDICTS.insert(tgid, verdict, 0);
    }
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
    if setting!(CONFIG.mode) == mode::UNDECIDED && !decided_for(tgid) {
        // Another program may mean another verdict: user space decides anew.
        let _ = VERDICTS.remove(tgid);
    }
    if !select::process(tgid) {
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
    let traced = select::process(tgid);
    let _ = VERDICTS.remove(tgid);
    let _ = GO.remove(tgid);
    forget_lines(tgid);
    if !traced {
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
fn decided_for(tgid: u32) -> bool {
    // SAFETY: a live map value.
    VERDICTS.get_ptr(tgid).is_some_and(|verdict| unsafe { *verdict } != 0)
}

#[inline(always)]
fn begin(scratch: &mut ExecScratch, task: u64, tgid: u32, flags: u32) {
    let parent: u64 = probe(task, setting!(OFFSETS.task_real_parent));
    scratch.record = ProcessRecord {
        kind: RecordKind::Process as u32,
        flags,
        // SAFETY: no memory is passed.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid,
        parent: probe(parent, setting!(OFFSETS.task_tgid)),
        // SAFETY: no memory is passed.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        comm: bpf_get_current_comm().unwrap_or_default(),
        args_len: 0,
        env_len: 0,
    };
}
