//! Events a second of user space alone: a recording, decoded to spans that are dropped, on one core.
//! By CPU time: what else the machine does does not count.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};

use super::rig::load::{Plan, Rate};
use super::rig::sensor::{Sensor, Summary};
use super::rig::server::Server;
use super::row::{Row, Target};
use super::{Bench, progress};

/// Requests a second: so few that none of them is lost.
const RATE: u64 = 10_000;
const TARGET: f64 = 400_000.0;
/// How long one replay may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let file = bench.file("load.rec");
    let server = Server::nginx(bench)?;
    let plan = Plan::new(RATE, Duration::from_secs(bench.pick(10, 2)));
    let load = Rate::new(bench, server.address(), plan)?;
    let recorder = Sensor::record(bench, &[server.pid(), load.pid()], file.as_os_str())?;
    let sent = load.run()?.sent;
    recorder.stop()?;
    let size = fs::metadata(&file).context("the recording")?.len();
    progress(format_args!("{sent} requests recorded, {} KiB", size / 1024));

    let mut speeds = Vec::new();
    let mut last = String::new();
    let rounds = bench.pick(7, 3);
    for round in 1..=rounds {
        let replay = replay(bench, &file)?;
        let spans = replay.summary.some("exchanges.spans")?;
        if spans != 2 * sent {
            bail!("{spans} spans from a recording of {sent} requests, traced at both ends");
        }
        let events = replay.summary.some("capture.events")?;
        #[expect(clippy::cast_precision_loss, reason = "some millions")]
        let speed = events as f64 / replay.cpu.as_secs_f64();
        speeds.push(speed);
        last = format!("{events} events, {spans} spans");
        progress(format_args!(
            "round {round} of {rounds}: {last} in {:.2} s of CPU, {:.2} s by the clock",
            replay.cpu.as_secs_f64(),
            replay.elapsed.as_secs_f64()
        ));
    }
    let row = Row::of_samples("replay: events on one core", "/s", &speeds).context("no round")?;
    let note = format!("{last}; by CPU time, user and system, start and decompression included");
    Ok(vec![row.target(Target::ValueAtLeast(TARGET)).note(note)])
}

struct Replay {
    /// User and system.
    cpu: Duration,
    elapsed: Duration,
    summary: Summary,
}

/// One replay, all threads on one core.
fn replay(bench: &Bench, file: &std::path::Path) -> Result<Replay> {
    let said = bench.file("replay.log");
    let mut command = Command::new(&bench.tools.sensor);
    command
        .arg("replay")
        .arg(file)
        .args(["--output", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said)?);
    // SAFETY: between fork and exec only async-signal-safe functions may be called; these two are
    // system calls, and write to no memory but their own argument.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // A replay that runs away ends here, and fails.
            let limit = libc::rlimit { rlim_cur: PATIENCE.as_secs(), rlim_max: PATIENCE.as_secs() };
            libc::setrlimit(libc::RLIMIT_CPU, &raw const limit);
            pin()
        });
    }
    let start = Instant::now();
    let child = command.spawn().context("cannot start the sensor")?;
    let (status, cpu) = wait(child.id())?;
    let elapsed = start.elapsed();
    let said = fs::read_to_string(&said)?;
    if status != 0 {
        bail!("the replay failed (wait status {status:#x}): {}", said.trim());
    }
    Ok(Replay { cpu, elapsed, summary: Summary::parse(&said) })
}

/// Keeps this process to the last of the CPUs that it may use.
fn pin() -> io::Result<()> {
    // SAFETY: a cpu_set_t is an array of integers, for which zero is a value. Both calls get its size,
    // and CPU_ISSET and CPU_SET get numbers below that of its bits.
    unsafe {
        let mut allowed: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed) != 0 {
            return Err(io::Error::last_os_error());
        }
        let bits = 8 * size_of::<libc::cpu_set_t>();
        let Some(cpu) = (0..bits).rev().find(|cpu| libc::CPU_ISSET(*cpu, &allowed)) else {
            return Ok(());
        };
        let mut one: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        libc::CPU_SET(cpu, &mut one);
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Waits for a child that nobody else waits for: its wait status, and its CPU time.
fn wait(pid: u32) -> Result<(i32, Duration)> {
    let pid = libc::pid_t::try_from(pid)?;
    let mut status = 0;
    // SAFETY: an rusage is numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { MaybeUninit::zeroed().assume_init() };
    loop {
        // SAFETY: both pointers are to live variables of the right types.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if waited == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error).context("the replay cannot be waited for");
        }
    }
    let time = |time: libc::timeval| -> Result<Duration> {
        Ok(Duration::from_secs(time.tv_sec.try_into()?)
            + Duration::from_micros(time.tv_usec.try_into()?))
    };
    Ok((status, time(usage.ru_utime)? + time(usage.ru_stime)?))
}
