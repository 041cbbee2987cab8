//! Programs written in Go: looked at in a thread of their own when their process is announced, and made
//! known to the kernel side.
//!
//! Only processes that are traced are announced, so no other is looked at, and no other's executable is
//! probed. (Where everything is traced, everything is looked at.) The way of one: [`queue`] → [`looker`]
//! → [`Golang::take`] → [`probes`].

mod looker;
mod probes;
mod process;
mod queue;
mod seen;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use sensor_ebpf::abi::GoProgram;

use super::{OpenError, take_map};
use crate::capture::event::ProcessKey;
use crate::metrics::{Counter, Metrics};

use looker::{Answer, Found, Lookers};
use probes::Probes;
pub(super) use probes::load;

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
    lookers: Lookers,
    metrics: Arc<Metrics>,
}

impl Golang {
    /// Begins to look, and tells nobody yet. With `probes`, programs are probed too.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(metrics: &Arc<Metrics>, probes: bool) -> Result<Self, OpenError> {
        let lookers = Lookers::new(metrics, probes)
            .map_err(|error| OpenError::Scope(format!("no thread can be started: {error}")))?;
        Ok(Self {
            map: None,
            probes: Probes::default(),
            first: HashSet::new(),
            lookers,
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
    pub(super) fn first(&mut self, keys: impl IntoIterator<Item = ProcessKey>, ebpf: &mut Ebpf) {
        for key in keys {
            if self.ask(key) {
                self.first.insert(key);
            }
        }
        let deadline = Instant::now() + FIRST_LOOK;
        for _ in 0..self.first.len() {
            let Some(answer) = self.lookers.next(deadline) else { break };
            self.take(answer, ebpf);
        }
    }

    /// A process has begun to be traced.
    pub(super) fn announce(&mut self, key: ProcessKey) {
        if !self.first.remove(&key) {
            self.ask(key);
        }
    }

    /// A process runs another program now.
    pub(super) fn announce_anew(&mut self, key: ProcessKey) {
        self.first.remove(&key);
        self.ask(key);
    }

    /// Returns whether the process will be looked at.
    fn ask(&mut self, key: ProcessKey) -> bool {
        // One that has ended already has nothing to look at.
        let Some(user) = process::user(key) else { return false };
        let asked = self.lookers.queue.push(user, key);
        if !asked {
            self.metrics.inc(Counter::GoProcessesUnknown);
        }
        asked
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, key: ProcessKey) {
        self.first.remove(&key);
        self.lookers.queue.forget(key);
        self.probes.gone(key);
    }

    /// Tells the kernel side what has been found out meanwhile.
    pub(super) fn settle(&mut self, ebpf: Option<&mut Ebpf>) {
        let Some(ebpf) = ebpf else { return };
        while let Some(answer) = self.lookers.try_next() {
            self.take(answer, ebpf);
        }
    }

    /// Finds processes that ended or ran another program without a record of it, and starts another
    /// thread where all are stuck.
    pub(super) fn tidy(&mut self) {
        self.lookers.watch();
        self.probes.tidy();
    }

    /// Detaches all probes.
    pub(super) fn stop(&mut self) {
        self.probes = Probes::default();
    }

    fn take(&mut self, answer: Answer, ebpf: &mut Ebpf) {
        let Answer { key, found } = answer;
        let Some(found) = found else {
            // It may have been one in Go.
            self.probes.gone(key);
            return;
        };
        self.metrics.inc(Counter::GoProcesses);
        let Found { user, process, executable, program } = found;
        let Some(layout) = program.layout else {
            self.metrics.inc(Counter::GoProcessesUnknown);
            tracing::debug!(pid = key.tgid.0, version = program.version, "goroutines stay unknown");
            return;
        };
        let Some(map) = &mut self.map else { return };
        if let Err(error) = map.insert(key.tgid.0, layout_bytes(layout), 0) {
            self.metrics.inc(Counter::GoProcessesUnknown);
            tracing::debug!(pid = key.tgid.0, %error, "goroutines stay unknown");
            return;
        }
        // The kernel side removes the entry when the process ends or runs another program. That may
        // have been before the entry was there: then it is another program's, or another process's.
        if !process.runs(executable.id()) {
            let _ = map.remove(&key.tgid.0);
            self.probes.gone(key);
            return;
        }
        self.probes.attach(ebpf, key, user, executable, &program, &self.metrics);
    }
}

fn layout_bytes(layout: GoProgram) -> Layout {
    zerocopy::transmute!(layout)
}
