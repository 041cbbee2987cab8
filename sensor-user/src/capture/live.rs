//! The running kernel as a source.

pub mod btf;
pub mod offsets;
pub mod probe;
pub mod programs;

mod announce;
mod clock;
mod doubt;
mod executable;
mod golang;
mod lines;
mod looker;
mod missed;
mod privileges;
mod processes;
mod rings;
mod scope;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use aya_log::EbpfLogger;
use sensor_ebpf::abi::KERNEL_COUNTERS;

use super::{CaptureError, Progress, Raw, RawSource};
use crate::metrics::Metrics;
use crate::process::{Host, Identifier, Selection, Trust};

use announce::Announcer;
use doubt::Doubt;
use golang::Golang;
use lines::Lines;
pub use lines::{LogOptions, LogsOf};
use missed::Missed;
use processes::Processes;
pub use programs::Engine;
use programs::{Kernel, Sizes};
use rings::{Merged, Ring};
use scope::Scope;

/// Records that one poll takes at most: some hundred microseconds of work, after which its caller
/// lets others run. Kernels that preempt lazily take a core back from a busy thread only when it
/// enters the kernel, or at the next tick, which is milliseconds away.
pub const BATCH: usize = 64;

/// How often the clocks are compared and the kernel's counters read.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long it is told, when nothing comes, how late it is: longer than a line waits for what may belong to it.
const QUIET: Duration = Duration::from_millis(500);

/// Counter: records that were still in the ring when there was no more time to read them.
pub const RING_UNREAD: &str = "kernel.ring_unread";

/// Counter: the same of what was written to logs.
pub const LINES_UNREAD: &str = "kernel.lines_unread";

/// Counter: runs of our programs that the kernel left out, each an event that was missed.
pub const RUNS_MISSED: &str = "kernel.runs_missed";

/// Counter: records of Unix sockets dropped because an event before them may have been missed.
pub const RECORDS_DOUBTFUL: &str = "kernel.records_doubtful";

/// What to listen to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Processes; empty means all.
    pub selection: Selection,
    /// Ports at either end, at most [`sensor_ebpf::limits::PORTS`]; empty means any.
    pub ports: Vec<u16>,
    /// Directories of cgroups (version 2), at most [`sensor_ebpf::limits::CGROUPS`].
    pub cgroups: Vec<PathBuf>,
    /// How system calls are seen.
    pub engine: EngineChoice,
    /// Size of the ring between kernel and user space: a power of two, whole pages.
    pub ring_bytes: usize,
    /// Sockets that the kernel side tracks at once; `None` means [`sensor_ebpf::limits::FLOWS`].
    pub flows: Option<u32>,
    /// Tell what threads had taken up when they sent something, which costs every system call on the machine
    /// a little: see `docs/performance.md`.
    pub event_loops: bool,
    /// Probes in programs written in Go, which tell who asks where another goroutine sends.
    pub go_probes: bool,
    /// How far processes are believed in what they declare of themselves.
    pub trust: Trust,
    /// What is taken of what processes write to their logs.
    pub logs: LogOptions,
    /// The kernel side's debug messages, through `tracing`.
    pub verbose: bool,
}

/// Which engine is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The best that this kernel has.
    #[default]
    Auto,
    /// This one, or none.
    Only(Engine),
}

/// Why the kernel cannot be listened to. The text names what to do next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No type information.
    #[error(
        "the kernel's type information (/sys/kernel/btf/vmlinux) cannot be used: {0}; a kernel \
         built with CONFIG_DEBUG_INFO_BTF=y is needed"
    )]
    NoBtf(String),
    /// The kernel does not let us.
    #[error("{0}")]
    Privileges(String),
    /// The engine asked for does not run here.
    #[error(
        "engine {engine} cannot run here: {reason}; try `--engine auto`, and see `sensor doctor`"
    )]
    Engine {
        /// The engine.
        engine: &'static str,
        /// Why not.
        reason: String,
    },
    /// A program or map was refused.
    #[error("the kernel refused {what}: {reason}; `sensor doctor` says what this machine allows")]
    Refused {
        /// The program or map.
        what: String,
        /// The kernel's words.
        reason: String,
    },
    /// The BPF object is not what it should be.
    #[error("the BPF object in this binary is broken: {0}; rebuild it: `cargo xtask build-ebpf`")]
    Object(String),
    /// What is to be traced cannot be found.
    #[error("{0}")]
    Scope(String),
}

/// The running kernel.
pub struct Live {
    engine: Engine,
    rings: Merged<Ring>,
    counters: PerCpuArray<MapData, u64>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    scope: Scope,
    identifier: Identifier,
    processes: Processes,
    metrics: Arc<Metrics>,
    next_housekeeping: Instant,
    /// Since when nothing came.
    quiet_since: Option<Instant>,
    stopping: bool,
    /// Records that were left in the ring, and in that of lines.
    unread: (u64, u64),
    missed: Missed,
    doubt: Doubt,
    golang: Golang,
    lines: Lines,
    /// The programs stay attached as long as this lives.
    ebpf: Option<Ebpf>,
}

impl Live {
    /// Loads and attaches the programs. From then on the ring fills: poll it.
    ///
    /// # Errors
    /// When this kernel, or this process's privileges, do not allow it.
    pub fn open(options: &Options, metrics: &Arc<Metrics>) -> Result<Self, OpenError> {
        privileges::check()?;
        privileges::raise_memlock();
        let kernel = Kernel::read()?;
        let engine = choose(&kernel, options.engine)?;
        let (mut scope, mut config) = Scope::new(options)?;
        let mut lines = Lines::new(&options.logs, &mut config, metrics)?;
        let ring_bytes = u32::try_from(options.ring_bytes).map_err(|_| {
            OpenError::Scope(format!("--ring-size {}: at most 2 GiB", options.ring_bytes))
        })?;
        let sizes =
            Sizes { ring_bytes, flows: options.flows.unwrap_or(sensor_ebpf::limits::FLOWS) };
        let mut ebpf = programs::load(&kernel, engine, &config, &sizes, options.verbose)?;
        let mut processes = Processes::default();
        scope.connect(&mut ebpf, &mut processes)?;
        lines.connect(&mut ebpf)?;
        let probes = options.go_probes
            && golang::load(&mut ebpf).inspect_err(|why| tracing::warn!("{why}")).is_ok();
        let mut golang = Golang::new(metrics, probes)?;
        golang.connect(&mut ebpf)?;
        golang.first(scope.running(), &mut ebpf);
        let rings = rings(&mut ebpf, options.logs.of != LogsOf::Nobody)?;
        let counters = take_map(&mut ebpf, "COUNTERS")?;
        let logger = if options.verbose {
            EbpfLogger::init(&mut ebpf)
                .map_err(|error| tracing::warn!("no kernel messages: {error}"))
                .ok()
        } else {
            None
        };
        let missed_until = take_map(&mut ebpf, "MISSED_UNTIL")?;
        let missed = Missed::of(&ebpf, engine, missed_until).map_err(|error| {
            OpenError::Object(format!("the programs' /proc/self/fdinfo: {error}"))
        })?;
        programs::attach(&mut ebpf, engine, &config)?;
        if lines.attachment_due() {
            programs::attach_lines(&mut ebpf)?;
        }
        scope.catch_up(&mut processes)?;
        privileges::give_back_memory();
        Ok(Self {
            engine,
            rings,
            counters,
            logger,
            scope,
            identifier: Identifier::new(
                "/proc".into(),
                Host::read("/".as_ref()),
                options.trust,
                Arc::clone(metrics),
            ),
            processes,
            metrics: Arc::clone(metrics),
            next_housekeeping: Instant::now(),
            quiet_since: None,
            stopping: false,
            unread: (0, 0),
            missed,
            doubt: Doubt::new(missed::happens_to_calls(release())),
            golang,
            lines,
            ebpf: Some(ebpf),
        })
    }

    /// The engine in use.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Detaches the programs: no more events come, and those in the ring can still be polled;
    /// after them the source is finished.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.golang.stop();
        self.ebpf = None;
    }

    /// Leaves what is in the rings, and counts it as lost ([`RING_UNREAD`], [`LINES_UNREAD`]). After
    /// [`Self::stop`], so that it is the last of it.
    pub fn abandon(&mut self) {
        let (records, lines) = self.rings.abandon();
        self.unread.0 += records;
        self.unread.1 += lines;
    }

    /// The kernel side's counters, summed over the CPUs, what was left in the ring, and
    /// what was missed.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut counters: Vec<_> = KERNEL_COUNTERS
            .iter()
            .map(|&(counter, name)| {
                let value =
                    self.counters.get(&(counter as u32), 0).map_or(0, |all| all.iter().sum());
                (format!("kernel.{name}"), value)
            })
            .collect();
        counters.push((RING_UNREAD.to_owned(), self.unread.0));
        counters.push((LINES_UNREAD.to_owned(), self.unread.1));
        counters.push((RUNS_MISSED.to_owned(), self.missed.all()));
        counters.push((RECORDS_DOUBTFUL.to_owned(), self.doubt.dropped()));
        counters
    }

    /// Nothing is there: for a while it is told how late it is, since what came last may wait for what
    /// could have come since.
    fn quiet(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<(), CaptureError> {
        let now = Instant::now();
        if now - *self.quiet_since.get_or_insert(now) < QUIET {
            sink(Raw::Clock(clock::now()?));
        }
        Ok(())
    }

    fn housekeeping(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<(), CaptureError> {
        self.next_housekeeping = Instant::now() + HOUSEKEEPING;
        self.golang.tidy();
        sink(Raw::Clock(clock::now()?));
        sink(Raw::Counters(&self.counters()));
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        Ok(())
    }
}

impl RawSource for Live {
    fn poll_raw(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<Progress, CaptureError> {
        if Instant::now() >= self.next_housekeeping {
            self.housekeeping(sink)?;
        }
        self.golang.settle(self.ebpf.as_mut());
        let mut delivered = 0;
        let Self { rings, doubt, missed, .. } = self;
        let mut announcer = Announcer {
            processes: &mut self.processes,
            identifier: &self.identifier,
            scope: &mut self.scope,
            metrics: &self.metrics,
            golang: &mut self.golang,
            lines: &mut self.lines,
        };
        announcer.lines.settle(&mut |raw| doubt.take(raw, sink));
        let mut take = |record: &[u8]| {
            if announcer.announce(record, &mut |raw| doubt.take(raw, sink)) {
                doubt.take(Raw::Record(record), sink);
            }
        };
        while delivered < BATCH && rings.next(&mut take) {
            delivered += 1;
        }
        let over = delivered == 0 && self.stopping && !rings.waits();
        if over {
            announcer.lines.finish(&mut |raw| doubt.take(raw, sink));
        }
        doubt.settle(|| missed.look(), sink)?;
        if self.lines.attachment_due()
            && let Some(ebpf) = &mut self.ebpf
        {
            programs::attach_lines(ebpf).map_err(|error| CaptureError(error.to_string()))?;
        }
        if delivered > 0 {
            self.quiet_since = None;
            Ok(Progress::Delivered(delivered))
        } else if over {
            sink(Raw::Counters(&self.counters()));
            Ok(Progress::Finished)
        } else {
            self.quiet(sink)?;
            Ok(Progress::Idle)
        }
    }
}

/// The running kernel's version.
fn release() -> Option<(u32, u32)> {
    probe::version(&std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?)
}

fn choose(kernel: &Kernel, choice: EngineChoice) -> Result<Engine, OpenError> {
    match choice {
        EngineChoice::Only(engine) => kernel
            .supports(engine)
            .map(|()| engine)
            .map_err(|reason| OpenError::Engine { engine: engine.name(), reason }),
        EngineChoice::Auto => {
            let Err(_) = kernel.supports(Engine::Socket) else {
                return Ok(Engine::Socket);
            };
            choose(kernel, EngineChoice::Only(Engine::Syscall))
        }
    }
}

/// The rings, that of lines only if it is wanted.
fn rings(ebpf: &mut Ebpf, with_lines: bool) -> Result<Merged<Ring>, OpenError> {
    let mut ring = |name: &str| {
        Ring::new(take_map(ebpf, name)?).map_err(|error| OpenError::Refused {
            what: format!("the pages of {name}"),
            reason: error.to_string(),
        })
    };
    let main = ring("RING")?;
    Ok(Merged::new(main, with_lines.then(|| ring("LINES_RING")).transpose()?))
}

fn take_map<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<T, OpenError> {
    let map =
        ebpf.take_map(name).ok_or_else(|| OpenError::Object(format!("it has no map {name}")))?;
    T::try_from(map).map_err(|error| OpenError::Object(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests;
