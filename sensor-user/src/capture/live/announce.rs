//! Who a process is, said before the first record that names it; and which records are wanted.

use std::mem::offset_of;
use std::sync::Arc;

use sensor_ebpf::abi::{LineRecord, ProcessRecord, RecordKind, SegmentRecord, process_flag};
use zerocopy::{FromBytes as _, FromZeros as _, IntoBytes as _};

use super::golang::Golang;
use super::lines::Lines;
use super::processes::{Known, Origin, Processes, is_newer};
use super::scope::Scope;
use crate::capture::Raw;
use crate::capture::decode::{Decoded, ProcessChange, ProcessRecordView, decode};
use crate::capture::event::{Monotonic, ProcessKey, StartTime, Tgid};
use crate::metrics::{Counter, Metrics};
use crate::model::Resource;
use crate::process::Identifier;

/// Sees to it that a process is announced before the first record that names it.
pub(super) struct Announcer<'a> {
    pub(super) processes: &'a mut Processes,
    pub(super) identifier: &'a Identifier,
    pub(super) scope: &'a mut Scope,
    pub(super) metrics: &'a Metrics,
    pub(super) golang: &'a mut Golang,
    pub(super) lines: &'a mut Lines,
}

/// The process that a record names, its exec count, and the record's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Runs {
    process: ProcessKey,
    execs: u32,
    time: Monotonic,
}

impl Announcer<'_> {
    /// Returns whether the record is wanted.
    pub(super) fn announce(&mut self, record: &[u8], sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        match caller(record) {
            Caller::Process(runs) => {
                let wanted = self.process(runs, sink);
                if wanted {
                    self.lines.exchange(runs.process);
                }
                wanted
            }
            Caller::Writer(line) => {
                let runs = Runs::of(line.tgid, line.start_ns, line.execs, line.time_ns);
                if !self.process(runs, sink) {
                    return false;
                }
                let known = self.processes.get(runs.process).and_then(|it| it.known.as_ref());
                let Some(Known { resource, .. }) = known else { return false };
                self.lines.line(runs.process, &line, record, resource, sink)
            }
            Caller::Lifecycle => self.lifecycle(record, sink),
            Caller::None => true,
        }
    }

    /// Announces a process if it is new or runs another program than before. Returns whether it is
    /// wanted.
    fn process(&mut self, runs: Runs, sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        let Runs { process, execs, time } = runs;
        if let Some(there) = self.processes.get(process)
            && there.announced
            && there.known.as_ref().is_some_and(|known| !is_newer(execs, known.execs))
        {
            return true;
        }
        self.appears(process, time, sink);
        if !self.wants(process, execs) {
            return false;
        }
        let identifier = self.identifier;
        let mut look = |process| identifier.identify(process).ok();
        let resource = self.processes.identity(process, execs, &mut look).unwrap_or_else(|| {
            self.metrics.inc(Counter::ProcessesUnknown);
            Arc::new(identifier.unknown(process))
        });
        self.introduce(process, execs, &resource, false, sink);
        true
    }

    /// Whether records of a process are wanted. A record is dropped and counted if that cannot be
    /// known.
    fn wants(&mut self, process: ProcessKey, execs: u32) -> bool {
        if !self.scope.decides() {
            return true;
        }
        let mut is_there = false;
        let scope = &self.scope;
        let mut look = |looked_at| {
            let selected = scope.selects(looked_at);
            is_there |= looked_at == process && selected.is_some();
            selected
        };
        let Some(traced) = self.processes.decide(process, execs, &mut look) else {
            self.metrics.inc(Counter::ProcessesUndecided);
            return false;
        };
        if is_there {
            self.scope.tell(process, execs, traced);
        }
        traced
    }

    fn lifecycle(&mut self, record: &[u8], sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        // What cannot be decoded is counted further down.
        let Ok(Decoded::Process(record)) = decode(record) else {
            return true;
        };
        let ProcessRecordView { process, parent, execs, time, .. } = record;
        match record.change {
            ProcessChange::Exec => {
                self.appears(process, time, sink);
                if !self.scope.decide_exec(&record, self.processes) {
                    return false;
                }
                let resource = Arc::new(self.identifier.identify_exec(&record));
                self.introduce(process, execs, &resource, true, sink);
                // The record itself carries the whole environment, which is nobody's business.
                false
            }
            ProcessChange::Exit => self.ends(process, sink),
            ProcessChange::Fork => {
                self.appears(process, time, sink);
                self.processes.forked(process, Origin { parent, execs });
                false
            }
        }
    }

    /// Notes that a process exists. If the exit of the former process with its id was lost, an exit
    /// record takes its place.
    fn appears(&mut self, process: ProcessKey, time: Monotonic, sink: &mut dyn FnMut(Raw<'_>)) {
        let Some(former) = self.processes.seen(process) else { return };
        if !self.ends(former, sink) {
            return;
        }
        let mut exit = ProcessRecord::new_zeroed();
        exit.kind = RecordKind::Process as u32;
        exit.flags = process_flag::EXIT;
        exit.time_ns = time.0;
        exit.tgid = former.tgid.0;
        exit.start_ns = former.start.boottime();
        sink(Raw::Record(exit.as_bytes()));
    }

    /// Removes the state of a process that has ended. Returns whether the later stages need its
    /// end.
    fn ends(&mut self, process: ProcessKey, sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        let (announced, decided) = self.processes.end(process);
        if decided {
            self.scope.forget(process);
        }
        self.golang.forget(process);
        self.lines.part(process, sink);
        self.lines.forget(process);
        announced
    }

    /// Announces a process. `began` says that its program has just begun.
    fn introduce(
        &mut self,
        process: ProcessKey,
        execs: u32,
        resource: &Arc<Resource>,
        began: bool,
        sink: &mut dyn FnMut(Raw<'_>),
    ) {
        let there = self.processes.entry(process);
        let exec = there.announced;
        there.announced = true;
        there.known = Some(Known { execs, resource: Arc::clone(resource) });
        // An executable that was read before may be that of an earlier program.
        if exec || began {
            self.golang.announce_anew(process);
        } else {
            self.golang.announce(process);
        }
        self.lines.part(process, sink);
        sink(Raw::Process { process, exec, resource });
        self.lines.introduce(process, resource);
    }
}

/// Whom a record names.
enum Caller {
    Process(Runs),
    /// Of something that it has written to its log.
    Writer(LineRecord),
    /// It is about a process's life.
    Lifecycle,
    None,
}

fn caller(record: &[u8]) -> Caller {
    let kind = record.first_chunk().map_or(0, |word| u32::from_ne_bytes(*word));
    if kind == RecordKind::Process as u32 {
        return Caller::Lifecycle;
    }
    if kind == RecordKind::Line as u32 {
        return LineRecord::read_from_prefix(record)
            .map_or(Caller::None, |(line, _)| Caller::Writer(line));
    }
    // The end of a connection is about the connection alone. It often comes after the end of its
    // process, which closes what is still open: then there is nobody left to ask about.
    if kind != RecordKind::Segment as u32 {
        return Caller::None;
    }
    // What is cut is counted further down.
    Runs::of_segment(record).map_or(Caller::None, Caller::Process)
}

impl Runs {
    fn of(tgid: u32, start_ns: u64, execs: u32, time_ns: u64) -> Self {
        let process = ProcessKey { tgid: Tgid(tgid), start: StartTime::of_boottime(start_ns) };
        Self { process, execs, time: Monotonic(time_ns) }
    }

    fn of_segment(record: &[u8]) -> Option<Self> {
        let header = record.get(..size_of::<SegmentRecord>())?;
        let word = |at: usize| Some(u32::from_ne_bytes(*header.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*header.get(at..)?.first_chunk()?));
        Some(Self::of(
            word(offset_of!(SegmentRecord, tgid))?,
            long(offset_of!(SegmentRecord, start_ns))?,
            word(offset_of!(SegmentRecord, execs))?,
            long(offset_of!(SegmentRecord, time_ns))?,
        ))
    }
}
