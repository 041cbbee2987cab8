//! Programs written in Go: looked at in a thread of their own when their process is announced, and made
//! known to the kernel side.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use object::ReadCache;
use sensor_ebpf::abi::GoProgram;

use super::{OpenError, take_map};
use crate::capture::event::Tgid;
use crate::metrics::{Counter, Metrics};
use crate::process::golang::{Program, program};

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
    questions: SyncSender<Tgid>,
    answers: Receiver<Answer>,
    metrics: Arc<Metrics>,
}

/// What was found out about a process.
struct Answer {
    tgid: Tgid,
    /// Its executable; none where it is not written in Go, or cannot be read.
    executable: Option<Executable>,
}

/// A program, and the file that it is in.
struct Executable {
    file: FileId,
    program: Arc<Program>,
}

/// Which file, and which version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Golang {
    /// Begins to look, and tells nobody yet.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(metrics: &Arc<Metrics>) -> Result<Self, OpenError> {
        let (questions, asked) = sync_channel(QUEUE);
        let (answer, answers) = channel();
        let look = move || {
            let mut looker = Looker::default();
            // Ends with either end of the two channels.
            while let Ok(tgid) = asked.recv() {
                let executable = looker.executable(tgid);
                if answer.send(Answer { tgid, executable }).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("golang".into())
            .spawn(look)
            .map_err(|error| OpenError::Scope(format!("no thread can be started: {error}")))?;
        Ok(Self { map: None, questions, answers, metrics: Arc::clone(metrics) })
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
    pub(super) fn first(&mut self, tgids: impl IntoIterator<Item = Tgid>) {
        let mut open: usize = tgids.into_iter().map(|tgid| usize::from(self.announce(tgid))).sum();
        let deadline = Instant::now() + FIRST_LOOK;
        while open > 0
            && let Ok(answer) = self.answers.recv_timeout(deadline - Instant::now())
        {
            self.take(answer);
            open -= 1;
        }
    }

    /// A process has begun to be traced, or runs another program now. Returns whether it will be looked
    /// at.
    pub(super) fn announce(&mut self, tgid: Tgid) -> bool {
        let asked = self.questions.try_send(tgid).is_ok();
        if !asked {
            self.metrics.inc(Counter::GoProcessesUnknown);
        }
        asked
    }

    /// Tells the kernel side what has been found out meanwhile.
    pub(super) fn settle(&mut self) {
        loop {
            match self.answers.try_recv() {
                Ok(answer) => self.take(answer),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, answer: Answer) {
        let Answer { tgid, executable } = answer;
        let Some(Executable { file, program }) = executable else { return };
        self.metrics.inc(Counter::GoProcesses);
        let Some(layout) = &program.layout else {
            self.metrics.inc(Counter::GoProcessesUnknown);
            tracing::debug!(pid = tgid.0, version = program.version, "Go's version is not known");
            return;
        };
        let Some(map) = &mut self.map else { return };
        if let Err(error) = map.insert(tgid.0, layout_bytes(*layout), 0) {
            self.metrics.inc(Counter::GoProcessesUnknown);
            tracing::debug!(pid = tgid.0, %error, "goroutines stay unknown");
            return;
        }
        // The kernel side forgets it with the program; that may have been just before.
        if fs::metadata(exe(tgid)).ok().map(|now| FileId::of(&now)) != Some(file) {
            let _ = map.remove(&tgid.0);
        }
    }
}

/// Reads executables; each version of a file once.
#[derive(Default)]
struct Looker {
    seen: HashMap<FileId, Option<Arc<Program>>>,
}

impl Looker {
    fn executable(&mut self, tgid: Tgid) -> Option<Executable> {
        let file = File::open(exe(tgid)).ok()?;
        let id = FileId::of(&file.metadata().ok()?);
        if let Some(seen) = self.seen.get(&id) {
            return seen.clone().map(|program| Executable { file: id, program });
        }
        let cache = ReadCache::new(file);
        let found = program(&cache).unwrap_or_else(|error| {
            tracing::debug!(pid = tgid.0, %error, "executable not read");
            None
        });
        let found = found.map(Arc::new);
        if self.seen.len() >= EXECUTABLES {
            self.seen.clear();
        }
        self.seen.insert(id, found.clone());
        found.map(|program| Executable { file: id, program })
    }
}

fn layout_bytes(layout: GoProgram) -> Layout {
    zerocopy::transmute!(layout)
}

fn exe(tgid: Tgid) -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", tgid.0))
}
