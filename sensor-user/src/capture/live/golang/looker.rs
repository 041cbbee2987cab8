//! The threads that read executables. A file system that does not answer holds up one of them.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::process::Process;
use super::queue::Queue;
use super::seen::{Outcome, Seen};
use crate::capture::event::ProcessKey;
use crate::capture::live::executable::Executable;
use crate::metrics::{Counter, Metrics};
use crate::process::elf::ElfError;
use crate::process::golang::{Program, program};

/// Answers that wait until they are taken: each holds two descriptors.
const ANSWERS: usize = 64;

/// How long a look at an executable may take. Most of that is waiting for a disk: by what is read, it
/// takes milliseconds.
const LOOK: Duration = Duration::from_secs(10);

/// Looks that take longer than this need another thread for the other users.
const STUCK: Duration = Duration::from_secs(2);

/// Threads at most.
const THREADS: usize = 4;

/// How long the end waits for looks that are under way.
const END: Duration = Duration::from_millis(500);

/// What was found out about a process.
pub(super) struct Answer {
    pub(super) key: ProcessKey,
    /// None where it is not written in Go, has ended, or cannot be read.
    pub(super) found: Option<Found>,
}

/// A process that runs a program written in Go.
pub(super) struct Found {
    pub(super) user: u32,
    pub(super) process: Process,
    pub(super) executable: Executable,
    pub(super) program: Arc<Program>,
}

/// Looks at processes in threads of its own.
pub(super) struct Lookers {
    pub(super) queue: Arc<Queue>,
    answers: Option<Receiver<Answer>>,
    threads: Vec<JoinHandle<()>>,
    looker: Looker,
    /// Ends with the last thread.
    ended: Receiver<()>,
}

/// One of the threads.
#[derive(Clone)]
struct Looker {
    queue: Arc<Queue>,
    seen: Arc<Mutex<Seen>>,
    answers: SyncSender<Answer>,
    metrics: Arc<Metrics>,
    probes: bool,
    running: Option<SyncSender<()>>,
}

impl Lookers {
    /// Starts the first thread. With `probes`, the functions for these are looked for.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(metrics: &Arc<Metrics>, probes: bool) -> io::Result<Self> {
        let (answer, answers) = sync_channel(ANSWERS);
        let (running, ended) = sync_channel(0);
        let queue = Arc::<Queue>::default();
        let looker = Looker {
            queue: Arc::clone(&queue),
            seen: Arc::default(),
            answers: answer,
            metrics: Arc::clone(metrics),
            probes,
            running: Some(running),
        };
        let mut lookers =
            Self { queue, answers: Some(answers), threads: Vec::new(), looker, ended };
        lookers.start()?;
        Ok(lookers)
    }

    fn start(&mut self) -> io::Result<()> {
        let looker = self.looker.clone();
        let thread = thread::Builder::new().name("golang".into()).spawn(move || looker.run())?;
        self.threads.push(thread);
        Ok(())
    }

    /// Starts another thread if all of them are stuck.
    pub(super) fn watch(&mut self) {
        let threads = self.threads.len();
        if threads < THREADS && self.queue.stuck(STUCK) >= threads {
            tracing::debug!("a look at an executable takes long: another thread goes on");
            if let Err(error) = self.start() {
                tracing::debug!(%error, "no thread can be started");
            }
        }
    }

    /// The next answer, if there is one by `deadline`.
    pub(super) fn next(&self, deadline: Instant) -> Option<Answer> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.answers.as_ref()?.recv_timeout(left).ok()
    }

    /// The next answer, if there is one.
    pub(super) fn try_next(&self) -> Option<Answer> {
        self.answers.as_ref()?.try_recv().ok()
    }
}

impl Drop for Lookers {
    /// Waits a moment for the threads. One that is stuck is left behind: it holds nothing but what it
    /// reads.
    fn drop(&mut self) {
        self.queue.close();
        self.answers = None;
        self.looker.running = None;
        if self.ended.recv_timeout(END) == Err(RecvTimeoutError::Disconnected) {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        }
    }
}

impl Looker {
    fn run(self) {
        while let Some((user, key)) = self.queue.pop() {
            let found = self.look(user, key);
            let sent = self.answers.send(Answer { key, found }).is_ok();
            // Only now: the answers on one process come in the order of its questions.
            self.queue.done(user);
            if !sent {
                break;
            }
        }
    }

    fn look(&self, user: u32, key: ProcessKey) -> Option<Found> {
        // One that has ended, or whose executable cannot be opened, leaves nothing to remember.
        let process = Process::open(key).ok()?;
        let mut executable = Executable::new(process.executable().ok()?).ok()?;
        let program = self.program(key, &mut executable)?;
        Some(Found { user, process, executable, program })
    }

    fn program(&self, key: ProcessKey, executable: &mut Executable) -> Option<Arc<Program>> {
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen().get(executable);
        let begun = Instant::now();
        let is_new = known.is_none();
        let read = match known {
            Some(Outcome::Refused | Outcome::Read(None)) => return None,
            // Where its code is, is read of each descriptor anew.
            Some(Outcome::Read(Some(program))) => {
                executable.read(begun + LOOK, |_| Ok(Some(program)))
            }
            None => {
                executable.read(begun + LOOK, |elf| Ok(program(elf, self.probes)?.map(Arc::new)))
            }
        };
        let took = begun.elapsed();
        match &read {
            Ok(program) if is_new => {
                tracing::debug!(
                    pid = key.tgid.0,
                    go = program.is_some(),
                    ?took,
                    "executable looked at"
                );
                seen().insert(executable, Outcome::Read(program.clone()));
            }
            Ok(_) => {}
            Err(error) => {
                if !matches!(error, ElfError::Machine(_)) {
                    self.metrics.inc(Counter::GoExecutablesRefused);
                }
                tracing::debug!(pid = key.tgid.0, %error, ?took, "executable not read");
                seen().insert(executable, Outcome::Refused);
            }
        }
        read.ok().flatten()
    }
}
