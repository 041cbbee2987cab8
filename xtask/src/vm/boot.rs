//! A virtual machine from power-on to its end, and what it reported.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::cpio::Tree;
use super::plan::{Step, to_json};
use crate::ui;

/// From power-on to the first line of the report.
const BOOT: Duration = Duration::from_secs(90);

/// From the last line of the report to the machine being off.
const OFF: Duration = Duration::from_secs(20);

/// What every machine is made of.
pub(super) struct Machine {
    /// QEMU's root directory.
    pub(super) qemu: PathBuf,
    /// What is in the initramfs of each; the plan is added to it.
    pub(super) initramfs: PathBuf,
    /// Processors of each.
    pub(super) processors: usize,
    /// The longest that a machine may be on.
    pub(super) limit: Duration,
    /// Whether what it was booted from stays.
    pub(super) keep: bool,
}

/// How a step went.
pub(super) struct Done {
    pub(super) step: Step,
    pub(super) end: End,
    pub(super) lines: Vec<String>,
}

impl Done {
    fn new(step: Step, end: End) -> Self {
        Self { step, end, lines: Vec::new() }
    }

    /// Writes what it said to a file of its own.
    fn write(&self, dir: &Path, number: usize) -> io::Result<()> {
        let name = format!("{number:02}-{}.log", self.step.name.replace(' ', "-"));
        let text: String = self.lines.iter().flat_map(|line| [line, "\n"]).collect();
        fs::write(dir.join(name), text)
    }
}

/// How a step ended.
pub(super) enum End {
    /// With this code; none when it was killed.
    Ended { code: Option<i64> },
    /// What it needs had failed.
    Skipped,
    /// The machine came to its end, or its time was up, before this step did.
    Never,
}

/// What a machine reported.
pub(super) struct Boot {
    /// The kernel's release and the seconds it took to get to its first process; none if it did not.
    pub(super) up: Option<(String, f64)>,
    pub(super) steps: Vec<Done>,
    /// Why the machine is not to be believed, whatever its steps say.
    pub(super) broken: Option<String>,
}

impl Boot {
    /// Whether it failed in one of the two ways in which emulated kernels do now and then, which have
    /// nothing to do with us.
    pub(super) fn worth_a_retry(&self, console: &str) -> bool {
        self.broken.is_some() && (self.up.is_none() || console.contains("Oops: int3"))
    }
}

impl Machine {
    /// Boots `kernel` and has it go through `steps`. Its console, and all else that it leaves behind,
    /// is in `dir`.
    ///
    /// # Errors
    /// QEMU cannot be started. A machine that fails is no error.
    pub(super) fn boot(
        &self,
        (name, kernel): (&str, &Path),
        steps: Vec<Step>,
        env: &[String],
        dir: &Path,
    ) -> Result<Boot> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let nonce = nonce(name);
        let mut plan = Tree::default();
        plan.text("/vm/plan.json", to_json(&steps, env, &nonce).to_string());
        let initramfs = dir.join("initramfs.cpio");
        fs::copy(&self.initramfs, &initramfs).context("the initramfs")?;
        plan.write(OpenOptions::new().append(true).open(&initramfs)?)?;
        let mut command = self.command(kernel, &initramfs, &dir.join("console.log"));
        fs::write(dir.join("boot.sh"), format!("{command:?}\n"))?;
        let log = File::create(dir.join("qemu.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut qemu = Running::start(&mut command)?;
        let lines = qemu.lines();
        let boot = Following { name, dir, nonce, lines, limit: self.limit }.follow(steps)?;
        drop(qemu);
        if !self.keep {
            fs::remove_file(initramfs)?;
        }
        Ok(boot)
    }

    fn command(&self, kernel: &Path, initramfs: &Path, console: &Path) -> Command {
        let root = &self.qemu;
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        // With its own loader and its own libraries: this machine's may be older.
        let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(libraries).arg(root.join("usr/bin/qemu-system-x86_64"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(root.join(data));
        }
        let accelerator = if has_kvm() { "kvm" } else { "tcg,thread=multi" };
        let processors = self.processors.to_string();
        command.args(["-accel", accelerator, "-cpu", "max", "-machine", "q35", "-nodefaults"]);
        command.args(["-m", "1G", "-smp", &processors, "-display", "none", "-no-reboot"]);
        let file = |path: &Path| format!("file:{}", path.display());
        command.args(["-serial", &file(console), "-serial", "stdio"]);
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
        command.args(["-append", "console=ttyS0 panic=-1 quiet mitigations=off"]);
        command
    }
}

/// /dev/kvm alone proves nothing: in some clouds it opens, and hangs.
fn has_kvm() -> bool {
    let driver = ["kvm_intel", "kvm_amd"].map(|module| Path::new("/sys/module").join(module));
    driver.iter().any(|module| module.exists())
        && OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// A word that nothing else on a serial port says.
fn nonce(name: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{name}-{:x}-{:x}", std::process::id(), now.as_nanos())
}

/// A started QEMU; killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        // SAFETY: between fork and exec only async-signal-safe functions may be called; prctl is one,
        // and it touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                // It goes when the thread that started it does, however that ends.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        Ok(Self(command.spawn().context("QEMU cannot be started")?))
    }

    /// What the machine writes to its second serial port.
    fn lines(&mut self) -> Receiver<String> {
        let (sender, lines) = channel();
        if let Some(port) = self.0.stdout.take() {
            thread::spawn(move || {
                for_each_line(port, |line| sender.send(line).is_ok());
            });
        }
        lines
    }
}

/// A kernel's last words may be anything but text.
fn for_each_line(pipe: impl Read, mut take: impl FnMut(String) -> bool) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if !take(String::from_utf8_lossy(&line).trim_end().to_owned()) {
            return;
        }
        line.clear();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Does nothing to one that has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reading a report.
struct Following<'a> {
    name: &'a str,
    /// Where the steps' logs are put.
    dir: &'a Path,
    nonce: String,
    lines: Receiver<String>,
    limit: Duration,
}

impl Following<'_> {
    fn follow(&self, steps: Vec<Step>) -> Result<Boot> {
        let start = Instant::now();
        let mut boot = Boot { up: None, steps: Vec::new(), broken: None };
        let mut left = steps.into_iter();
        let mut current: Option<Done> = None;
        let mut over: Option<Instant> = None;
        loop {
            let deadline = match (over, &boot.up) {
                (Some(over), _) => over + OFF,
                (None, Some(_)) => start + self.limit,
                (None, None) => start + self.limit.min(BOOT),
            };
            let patience = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(patience) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) if over.is_some() => {
                    boot.broken = Some("it did not switch off".into());
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = start.elapsed().as_secs();
                    boot.broken = Some(format!("it did not come to its end within {seconds} s"));
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    if over.is_none() {
                        boot.broken = Some("it went off before its end".into());
                    }
                    break;
                }
            };
            let Some(event) = self.event(&line) else { continue };
            if let Some(release) = event["boot"].as_str() {
                let seconds = event["seconds"].as_f64().unwrap_or_default();
                self.say(start, format_args!("Linux {release} is up after {seconds:.1} s"));
                boot.up = Some((release.to_owned(), seconds));
            } else if event["end"].is_u64() {
                over = Some(Instant::now());
            } else if let Some(text) = event["line"].as_str() {
                if let Some(done) = &mut current {
                    if text.starts_with("test ") && !text.starts_with("test result: ") {
                        self.say(start, format_args!("  {text}"));
                    }
                    done.lines.push(text.to_owned());
                }
            } else if event.get("step").is_some() {
                current = left.next().map(|step| Done::new(step, End::Never));
            } else if event.get("skip").is_some() {
                boot.steps.extend(left.next().map(|step| Done::new(step, End::Skipped)));
            } else if let Some(limit) = event["limit"].as_u64() {
                let text = format!("killed: it took longer than {limit} s");
                current.as_mut().into_iter().for_each(|done| done.lines.push(text.clone()));
            } else if let Some(mut done) = current.take() {
                done.end = End::Ended { code: event["code"].as_i64() };
                let seconds = event["seconds"].as_f64().unwrap_or_default();
                self.say(start, format_args!("{} ({seconds:.1} s)", done.step.name));
                boot.steps.push(done);
                self.write_last(&boot)?;
            }
        }
        if let Some(done) = current {
            boot.steps.push(done);
            self.write_last(&boot)?;
        }
        boot.steps.extend(left.map(|step| Done::new(step, End::Never)));
        Ok(boot)
    }

    /// While there is more to come, so that it is there should somebody lose patience.
    fn write_last(&self, boot: &Boot) -> Result<()> {
        let Some(last) = boot.steps.last() else { return Ok(()) };
        last.write(self.dir, boot.steps.len()).with_context(|| self.dir.display().to_string())
    }

    fn event(&self, line: &str) -> Option<Value> {
        let json = line.strip_prefix(&self.nonce)?;
        serde_json::from_str(json).ok()
    }

    fn say(&self, start: Instant, what: std::fmt::Arguments<'_>) {
        let seconds = start.elapsed().as_secs_f64();
        ui::line(format_args!("{:<5} {seconds:6.1} s  {what}", self.name));
    }
}
