//! Process 1: mounts what the tests need, has the steps run, reaps what they leave, switches off.

use std::convert::Infallible;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::system::{RebootCommand, reboot, sethostname};

/// (type, where). In this order: some are below others. Nothing on `/tmp`: all is in memory here, and the
/// tests lie where they were built, which may be there.
const MOUNTS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
    ("tmpfs", "/dev/shm"),
    ("devpts", "/dev/pts"),
];

/// Runs the machine. What goes wrong before there is a report is written to the console.
///
/// # Errors
/// When the machine cannot even be switched off; the kernel panics then, and reboots.
pub fn run() -> Result<Infallible> {
    if let Err(error) = prepare().and_then(|()| steps()) {
        // Not the report's port: whoever waits there takes silence for what it is.
        let _ = fs::write("/dev/console", format!("vm: {error:#}\n"));
    }
    reboot(RebootCommand::PowerOff).context("no power off")?;
    anyhow::bail!("still on")
}

fn prepare() -> Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place).with_context(|| place.to_owned())?;
        mount(kind, place, kind, MountFlags::empty(), None)
            .with_context(|| format!("mounting {kind} on {place}"))?;
    }
    // The sensor names the host; without a name it would leave that out.
    sethostname(b"vm").context("no host name")?;
    ensure!(Path::new(super::REPORT).exists(), "there is no second serial port");
    let mut up = Command::new("/bin/busybox");
    let up = up.args(["ip", "link", "set", "lo", "up"]).status().context("busybox ip")?;
    ensure!(up.success(), "the loopback interface stays down: {up}");
    Ok(())
}

/// Has the steps run in another process, so that here nobody's child is waited for by mistake.
fn steps() -> Result<()> {
    let runner = Command::new("/proc/self/exe").arg("steps").spawn().context("the steps")?;
    let runner = Pid::from_child(&runner);
    loop {
        let (ended, status) = wait(WaitOptions::empty())?.context("no child is left")?;
        if ended == runner {
            let status = ExitStatus::from_raw(status.as_raw());
            ensure!(status.success(), "the steps: {status}");
            return Ok(());
        }
    }
}
