//! The sensor as its users run it: the built binary, traced processes chosen by id, JSON lines.

#![expect(clippy::panic, reason = "this is how a test fails")]

mod check;
mod line;
mod report;
mod tools;
mod wait;

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

pub use check::{all_ends, assert_mirrored, assert_status};
pub use line::LogJson;
pub use report::{Report, SpanJson};
pub use rustix::process::Signal;
pub use tools::{
    can_trace, go_workload, go_workload_with, grpc_go_workload, grpc_go_workload_with,
    loggers_go_workload, python, tool, traces_go_workload,
};

/// How long loading and attaching may take, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(60);

/// How long the end may take: the sensor gives its output and its exporters a few seconds.
const STOP: Duration = Duration::from_secs(60);

/// What has it take what services write to their logs.
const LOGS: &[&str] = &["--logs", "on"];

/// Which hooks the sensor uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Tracepoints in the socket layer.
    Socket,
    /// System call entry and exit.
    Syscall,
}

impl Engine {
    /// As the sensor's `--engine` has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Socket, Self::Syscall].into_iter().find(|engine| engine.to_string() == name)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "socket",
            Self::Syscall => "syscall",
        })
    }
}

/// Makes a `#[test]` for each engine from functions that take one. Where nothing can be traced,
/// they say `SKIPPED`; in CI they fail then.
#[macro_export]
macro_rules! both_engines {
    ($($name:ident),* $(,)?) => {
        $crate::both_engines!(@ socket Socket $($name)*);
        $crate::both_engines!(@ syscall Syscall $($name)*);
    };
    (@ $module:ident $engine:ident $($name:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    if $crate::sensor::can_trace(stringify!($name)) {
                        super::$name($crate::sensor::Engine::$engine);
                    }
                }
            )*
        }
    };
}

/// What the sensor has said until now. Lines are taken in as they come, and read when somebody asks:
/// a reader that is slow would cost spans.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<(String, SystemTime)>,
    spans: Vec<SpanJson>,
    logs: Vec<LogJson>,
    summary: Option<Value>,
    ended: bool,
}

impl Said {
    /// Reads the lines that came.
    fn read(&mut self) {
        for (line, arrived) in self.lines.drain(..) {
            match serde_json::from_str::<Value>(&line) {
                Ok(value) if value["type"] == "span" => {
                    self.spans.push(SpanJson::new(value, arrived));
                }
                Ok(value) if value["type"] == "log" => self.logs.push(LogJson::new(value)),
                // How it ends comes as a span.
                Ok(value) if value["type"] == "open" => {}
                Ok(value) if value["type"] == "summary" => self.summary = Some(value),
                _ => panic!("not a line that `sensor run` promises: {line}"),
            }
        }
    }
}

type Heard = Arc<(Mutex<Said>, Condvar)>;

fn lock(heard: &Heard) -> MutexGuard<'_, Said> {
    heard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running `sensor run`. Killed when dropped.
#[derive(Debug)]
pub struct Sensor {
    child: Child,
    heard: Heard,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Sensor {
    /// Starts `sensor run --output json --engine … ARGS` and waits until it traces.
    ///
    /// # Panics
    /// When it does not, with what it said.
    #[must_use]
    pub fn start(engine: Engine, args: &[&str]) -> Self {
        Self::start_by(Command::new(binary()), engine, args)
    }

    /// The same by a command that becomes the sensor when it is given the sensor's arguments.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn start_by(mut command: Command, engine: Engine, args: &[&str]) -> Self {
        let engine = engine.to_string();
        command.args(["run", "--output", "json", "--engine", &engine]).args(args);
        // Whoever runs the tests may have an exporter configured.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .env("SENSOR_LOG", "sensor=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let heard = Heard::default();
        let stderr = Arc::<Mutex<String>>::default();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let heard = Arc::clone(&heard);
            readers.push(thread::spawn(move || listen(stdout, &heard)));
        }
        if let Some(pipe) = child.stderr.take() {
            let stderr = Arc::clone(&stderr);
            readers.push(thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut text = stderr.lock().unwrap_or_else(PoisonError::into_inner);
                    text.push_str(&line);
                    text.push('\n');
                }
            }));
        }
        let mut sensor = Self { child, heard, stderr, readers };
        let deadline = Instant::now() + START;
        // The message of the line, after the time, the level and the module.
        while !sensor.stderr().lines().any(|line| line.contains(": tracing ")) {
            if let Ok(Some(status)) = sensor.child.try_wait() {
                panic!("{command:?} ended with {status}:\n{}", sensor.stderr());
            }
            assert!(Instant::now() < deadline, "{command:?} does not trace:\n{}", sensor.stderr());
            thread::sleep(Duration::from_millis(5));
        }
        sensor
    }

    /// Starts it on these processes and their children, and nothing else; what they write to their logs is not taken.
    #[must_use]
    pub fn on(engine: Engine, pids: &[u32]) -> Self {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        Self::start(engine, &["--pid", &pids.join(","), "--logs", "off"])
    }

    /// The same, but with what they write to their logs; `more` are further arguments.
    #[must_use]
    pub fn with_logs(engine: Engine, pids: &[u32], more: &[&str]) -> Self {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let pids = pids.join(",");
        Self::start(engine, &[&["--pid", &pids], LOGS, more].concat())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: to stop and to go on, say.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        if let Err(error) = rustix::process::kill_process(pid, signal) {
            panic!("{signal:?}: {error}:\n{}", self.stderr());
        }
    }

    /// What it has said on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans until now.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanJson> {
        let mut said = lock(&self.heard);
        said.read();
        said.spans.clone()
    }

    /// Ends it as Ctrl-C does, and takes its last words.
    ///
    /// # Panics
    /// When it does not end in order, or without a summary.
    #[must_use]
    pub fn stop(self) -> Report {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, Signal::INT);
        self.ended()
    }

    /// Takes its last words, when it has been asked to end or does so by itself.
    ///
    /// # Panics
    /// As [`Self::stop`].
    #[must_use]
    pub fn ended(mut self) -> Report {
        let deadline = Instant::now() + STOP;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let stderr = self.stderr();
        assert!(status.success(), "it ended with {status}:\n{stderr}");
        let mut said = std::mem::take(&mut *lock(&self.heard));
        said.read();
        let Some(summary) = said.summary else {
            panic!("there is no summary:\n{stderr}");
        };
        Report::new(said.spans, said.logs, &summary, stderr)
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the lines as they come, each with the time of its coming.
fn listen(stdout: impl Read, heard: &Heard) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let arrived = SystemTime::now();
        lock(heard).lines.push((line, arrived));
        heard.1.notify_all();
    }
    lock(heard).ended = true;
    heard.1.notify_all();
}

/// The binary: `SENSOR`, as `cargo xtask test` sets it, or the release build.
///
/// # Panics
/// When neither is there.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SENSOR") {
        return path.into();
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.parent().unwrap_or(root).join("target/release/sensor");
    assert!(
        path.exists(),
        "{} is not there: build it with `cargo build --release`, or name it in SENSOR",
        path.display()
    );
    path
}
