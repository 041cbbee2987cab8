//! Programs written in Go: looked at in a thread of their own when their process is announced, and made
//! known to the kernel side.

mod probes;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use object::ReadCache;
use sensor_ebpf::abi::GoProgram;

use super::{OpenError, take_map};
use crate::capture::event::ProcessKey;
use crate::metrics::{Counter, Metrics};
use crate::process::golang::{Program, program};

use probes::Probes;
pub(super) use probes::load;

/// Processes that wait to be looked at.
const QUEUE: usize = 4096;

/// Executables whose facts are remembered.
const EXECUTABLES: usize = 1024;

/// How long the start waits for what is known of the programs that already run.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// A [`GoProgram`] as the map takes it.
type Layout = [u8; size_of::<GoProgram>()];

/// The programs in Go among those that are traced.
pub(super) struct Golang {
    map: Option<BpfHashMap<MapData, u32, Layout>>,
    probes: Probes,
    /// Processes that were looked at before they were announced.
    first: HashSet<ProcessKey>,
    /// Gone only at the end.
    questions: Option<SyncSender<ProcessKey>>,
    answers: Receiver<Answer>,
    looker: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

/// What was found out about a process.
struct Answer {
    process: ProcessKey,
    /// Its executable; none where it is not written in Go, or cannot be read.
    executable: Option<Executable>,
}

/// A program, and the file that it is in.
struct Executable {
    file: FileId,
    /// As long as it is open, its number is no other file's.
    open: File,
    program: Arc<Program>,
}

/// Which file: one that runs cannot be written to. (When it was changed may still be set meanwhile; `go build` does
/// that where there is nothing to build.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Which version of a file that nobody may hold open any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Version {
    file: FileId,
    size: u64,
    modified: (i64, i64),
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: FileId::of(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Golang {
    /// Begins to look, and tells nobody yet. With `probes`, programs are probed too.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(metrics: &Arc<Metrics>, probes: bool) -> Result<Self, OpenError> {
        let (questions, asked) = sync_channel(QUEUE);
        let (answer, answers) = channel();
        let look = move || {
            let mut looker = Looker { seen: HashMap::new(), probes };
            // Ends with either end of the two channels.
            while let Ok(process) = asked.recv() {
                let executable = looker.executable(process);
                if answer.send(Answer { process, executable }).is_err() {
                    break;
                }
            }
        };
        let looker = thread::Builder::new()
            .name("golang".into())
            .spawn(look)
            .map_err(|error| OpenError::Scope(format!("no thread can be started: {error}")))?;
        Ok(Self {
            map: None,
            probes: Probes::default(),
            first: HashSet::new(),
            questions: Some(questions),
            answers,
            looker: Some(looker),
            metrics: Arc::clone(metrics),
        })
    }

    /// Will tell the kernel side.
    ///
    /// # Errors
    /// When the object has no such map.
    pub(super) fn connect(&mut self, ebpf: &mut Ebpf) -> Result<(), OpenError> {
        self.map = Some(take_map(ebpf, "GO")?);
        Ok(())
    }

    /// Looks at processes that already run, and waits for what comes of it, for a while.
    pub(super) fn first(
        &mut self,
        processes: impl IntoIterator<Item = ProcessKey>,
        ebpf: &mut Ebpf,
    ) {
        for process in processes {
            if self.ask(process) {
                self.first.insert(process);
            }
        }
        let mut open = self.first.len();
        let deadline = Instant::now() + FIRST_LOOK;
        while open > 0
            && let Ok(answer) =
                self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.take(answer, ebpf);
            open -= 1;
        }
    }

    /// A process has begun to be traced.
    pub(super) fn announce(&mut self, process: ProcessKey) {
        if !self.first.remove(&process) {
            self.ask(process);
        }
    }

    /// A process runs another program now.
    pub(super) fn announce_anew(&mut self, process: ProcessKey) {
        self.first.remove(&process);
        self.ask(process);
    }

    /// Returns whether the process will be looked at.
    fn ask(&mut self, process: ProcessKey) -> bool {
        let asked = self.questions.as_ref().is_some_and(|it| it.try_send(process).is_ok());
        if !asked {
            self.metrics.inc(Counter::GoProcessesUnknown);
        }
        asked
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.first.remove(&process);
        self.probes.gone.push(process);
    }

    /// Tells the kernel side what has been found out meanwhile.
    pub(super) fn settle(&mut self, ebpf: Option<&mut Ebpf>) {
        let Some(ebpf) = ebpf else { return };
        self.probes.settle(ebpf);
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer, ebpf);
        }
    }

    /// Finds processes whose end went by unseen.
    pub(super) fn tidy(&mut self) {
        self.probes.tidy();
    }

    fn take(&mut self, answer: Answer, ebpf: &mut Ebpf) {
        let Answer { process, executable } = answer;
        let Some(Executable { file, open: _open, program }) = executable else {
            // It may have been one in Go.
            self.probes.gone.push(process);
            return;
        };
        self.metrics.inc(Counter::GoProcesses);
        let Some(layout) = program.layout else {
            self.metrics.inc(Counter::GoProcessesUnknown);
            tracing::debug!(
                pid = process.tgid.0,
                version = program.version,
                "goroutines stay unknown"
            );
            return;
        };
        let Some(map) = &mut self.map else { return };
        if let Err(error) = map.insert(process.tgid.0, layout_bytes(layout), 0) {
            self.metrics.inc(Counter::GoProcessesUnknown);
            tracing::debug!(pid = process.tgid.0, %error, "goroutines stay unknown");
            return;
        }
        // The kernel side forgets it with the program; that may have been just before.
        let path = exe(process);
        if fs::metadata(&path).ok().map(|now| FileId::of(&now)) != Some(file) {
            let _ = map.remove(&process.tgid.0);
            return;
        }
        self.probes.attach(ebpf, process, file, &path, &program, &self.metrics);
    }
}

impl Drop for Golang {
    /// Waits for the thread, which ends when there are no more questions.
    fn drop(&mut self) {
        self.questions = None;
        // What it was asked before is still answered, to nobody: it ends with the first answer.
        let (_, nobody) = channel();
        self.answers = nobody;
        if let Some(looker) = self.looker.take() {
            let _ = looker.join();
        }
    }
}

/// Reads executables; each version of a file once.
struct Looker {
    probes: bool,
    seen: HashMap<Version, Option<Arc<Program>>>,
}

impl Looker {
    fn executable(&mut self, process: ProcessKey) -> Option<Executable> {
        let open = File::open(exe(process)).ok()?;
        let version = Version::of(&open.metadata().ok()?);
        let file = version.file;
        if let Some(seen) = self.seen.get(&version) {
            return seen.clone().map(|program| Executable { file, open, program });
        }
        let begun = Instant::now();
        let cache = ReadCache::new(&open);
        let found = program(&cache, self.probes).unwrap_or_else(|error| {
            tracing::debug!(pid = process.tgid.0, %error, "executable not read");
            None
        });
        tracing::debug!(pid = process.tgid.0, size = version.size, took = ?begun.elapsed(), "executable looked at");
        let found = found.map(Arc::new);
        if self.seen.len() >= EXECUTABLES {
            self.seen.clear();
        }
        self.seen.insert(version, found.clone());
        found.map(|program| Executable { file, open, program })
    }
}

fn layout_bytes(layout: GoProgram) -> Layout {
    zerocopy::transmute!(layout)
}

fn exe(process: ProcessKey) -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", process.tgid.0))
}
