use sensor_ebpf::abi::{
    EndRecord, LineRecord, ProcessRecord, RecordKind, SegmentRecord, process_flag,
};
use zerocopy::{FromZeros, IntoBytes};

use super::*;
use crate::capture::decode::{Decoded, ProcessChange, decode};
use crate::capture::event::{ProcessKey, StartTime, Tgid};
use crate::metrics::Counter;

/// Announces what its records name, with a `/proc` that has nobody in it.
struct Desk {
    metrics: Arc<Metrics>,
    identifier: Identifier,
    scope: Scope,
    lines: Lines,
    golang: Golang,
    processes: Processes,
}

/// What comes out beside the records.
#[derive(Debug, PartialEq, Eq)]
enum Out {
    /// Who a process is, and whether it runs another program than before.
    Process(ProcessKey, bool),
    Exit(ProcessKey),
}

impl Desk {
    fn new(selection: Selection) -> Self {
        let metrics = Arc::new(Metrics::default());
        let host = Host { name: None, id: None };
        let options = Options {
            selection,
            ports: vec![],
            cgroups: vec![],
            engine: EngineChoice::Auto,
            ring_bytes: 1 << 16,
            flows: None,
            event_loops: true,
            go_probes: false,
            trust: Trust::default(),
            logs: LogOptions { of: LogsOf::Traced, ..LogOptions::default() },
            verbose: false,
        };
        let (scope, mut config) = Scope::new(&options).unwrap();
        Self {
            identifier: Identifier::new(
                "/nowhere".into(),
                host,
                Trust::default(),
                Arc::clone(&metrics),
            ),
            scope,
            lines: Lines::new(&options.logs, &mut config, &metrics).unwrap(),
            golang: Golang::new(&metrics, false).unwrap(),
            processes: Processes::default(),
            metrics,
        }
    }

    /// Whether the record is wanted, and what comes before it.
    fn take(&mut self, record: &[u8]) -> (bool, Vec<Out>) {
        let mut announcer = Announcer {
            golang: &mut self.golang,
            lines: &mut self.lines,
            processes: &mut self.processes,
            identifier: &self.identifier,
            scope: &mut self.scope,
            metrics: &self.metrics,
        };
        let mut out = Vec::new();
        let wanted = announcer.announce(record, &mut |raw| match raw {
            Raw::Process { process, exec, .. } => out.push(Out::Process(process, exec)),
            Raw::Record(record) => match decode(record) {
                Ok(Decoded::Process(it)) if it.change == ProcessChange::Exit => {
                    out.push(Out::Exit(it.process));
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        (wanted, out)
    }

    fn lost(&self) -> (u64, u64) {
        let get = |counter| self.metrics.get(counter);
        (get(Counter::ProcessesUnknown), get(Counter::ProcessesUndecided))
    }
}

/// More than any process id (`PID_MAX_LIMIT`, include/linux/threads.h).
const NOBODY: u32 = (4 << 20) + 1;

/// A process with that id.
const fn nobody(start: u64) -> ProcessKey {
    ProcessKey { tgid: Tgid(NOBODY), start: StartTime(start) }
}

fn by_name() -> Selection {
    Selection::new([], &["python*".to_owned()], &[]).unwrap()
}

fn segment(process: ProcessKey, execs: u32) -> Vec<u8> {
    let mut record = SegmentRecord::new_zeroed();
    record.kind = RecordKind::Segment as u32;
    (record.tgid, record.start_ns, record.execs) =
        (process.tgid.0, process.start.boottime() + 4_321, execs);
    record.as_bytes().to_vec()
}

fn lifecycle(flags: u32, process: ProcessKey, parent: ProcessKey, execs: u32) -> Vec<u8> {
    let mut record = ProcessRecord::new_zeroed();
    (record.kind, record.flags, record.execs) = (RecordKind::Process as u32, flags, execs);
    (record.tgid, record.start_ns) = (process.tgid.0, process.start.boottime());
    (record.parent, record.parent_start_ns) = (parent.tgid.0, parent.start.boottime());
    record.comm[..7].copy_from_slice(b"python3");
    record.as_bytes().to_vec()
}

/// A process that ends leaves its connections to the kernel, which closes them after it.
#[test]
fn a_connection_may_end_after_its_process() {
    let mut record = EndRecord::new_zeroed();
    (record.kind, record.tgid) = (RecordKind::End as u32, NOBODY);
    for selection in [Selection::default(), by_name()] {
        let mut desk = Desk::new(selection);
        assert_eq!(desk.take(record.as_bytes()), (true, vec![]));
        assert_eq!(desk.lost(), (0, 0));
    }
}

/// What announces a process, and is of one that is gone.
fn of_who_is_gone(record: &[u8]) {
    let mut everybody = Desk::new(Selection::default());
    let announced = Out::Process(ProcessKey::undated(NOBODY), false);
    assert_eq!(everybody.take(record), (true, vec![announced]));
    assert_eq!(everybody.lost(), (1, 0));
    // There is no telling whether it had the name.
    let mut named = Desk::new(by_name());
    assert_eq!(named.take(record), (false, vec![]));
    assert_eq!(named.lost(), (0, 1));
}

#[test]
fn bytes_of_a_process_that_is_gone() {
    let mut record = SegmentRecord::new_zeroed();
    record.kind = RecordKind::Segment as u32;
    record.tgid = NOBODY;
    of_who_is_gone(record.as_bytes());
}

#[test]
fn lines_of_a_process_that_is_gone() {
    let mut record = LineRecord::new_zeroed();
    record.kind = RecordKind::Line as u32;
    (record.tgid, record.stream) = (NOBODY, 1);
    of_who_is_gone(record.as_bytes());
}

#[test]
fn a_process_with_the_id_of_another_ends_that_one() {
    let mut desk = Desk::new(Selection::default());
    let (first, second) = (nobody(100), nobody(101));
    assert_eq!(desk.take(&segment(first, 1)), (true, vec![Out::Process(first, false)]));
    assert_eq!(desk.take(&segment(first, 1)), (true, vec![]));
    let out = vec![Out::Exit(first), Out::Process(second, false)];
    assert_eq!(desk.take(&segment(second, 1)), (true, out));
    assert_eq!(desk.take(&segment(second, 1)), (true, vec![]));
    // What comes late of the first does not end the second.
    assert_eq!(desk.take(&segment(first, 1)), (true, vec![Out::Process(first, false)]));
    assert_eq!(desk.take(&segment(second, 1)), (true, vec![]));
    let exit = lifecycle(process_flag::EXIT, second, nobody(1), 1);
    assert_eq!(desk.take(&exit), (true, vec![]));
}

#[test]
fn a_process_whose_exec_was_not_seen_is_announced_anew() {
    let mut desk = Desk::new(Selection::default());
    let process = nobody(100);
    assert_eq!(desk.take(&segment(process, 7)), (true, vec![Out::Process(process, false)]));
    assert_eq!(desk.take(&segment(process, 8)), (true, vec![Out::Process(process, true)]));
    assert_eq!(desk.take(&segment(process, 8)), (true, vec![]));
    // A late one of the program before.
    assert_eq!(desk.take(&segment(process, 7)), (true, vec![]));
}

#[test]
fn a_program_that_is_not_selected_and_the_next_process_with_its_id() {
    let mut desk = Desk::new(by_name());
    let (first, second) = (nobody(100), nobody(102));
    let exec = |process, execs| lifecycle(process_flag::EXEC, process, nobody(1), execs);
    let mut other = exec(first, 3);
    let comm = std::mem::offset_of!(ProcessRecord, comm);
    other[comm..comm + 7].copy_from_slice(b"curl\0\0\0");
    assert_eq!(desk.take(&other), (false, vec![]));
    assert_eq!((desk.take(&segment(first, 3)), desk.lost()), ((false, vec![]), (0, 0)));
    // The same process, another program, of which the exec was lost: it may have the name.
    assert_eq!((desk.take(&segment(first, 4)), desk.lost()), ((false, vec![]), (0, 1)));
    // Another process.
    assert_eq!((desk.take(&segment(second, 3)), desk.lost()), ((false, vec![]), (0, 2)));
    let third = nobody(103);
    assert_eq!(desk.take(&exec(third, 3)), (false, vec![Out::Process(third, false)]));
    assert_eq!(desk.take(&segment(third, 3)), (true, vec![]));
}

/// Forked workers that are gone when their records are read.
#[test]
fn copies_are_selected_with_what_they_are_copies_of() {
    let mut desk = Desk::new(by_name());
    let parent = ProcessKey { tgid: Tgid(NOBODY + 1), start: StartTime(50) };
    let fork = |child, parent| lifecycle(process_flag::FORK, child, parent, 3);
    let exec = lifecycle(process_flag::EXEC, parent, nobody(1), 3);
    assert_eq!(desk.take(&exec), (false, vec![Out::Process(parent, false)]));
    let (child, grandchild) = (nobody(60), ProcessKey { tgid: Tgid(NOBODY + 2), ..nobody(61) });
    assert_eq!(desk.take(&fork(child, parent)), (false, vec![]));
    assert_eq!(desk.take(&fork(grandchild, child)), (false, vec![]));
    // They may all have ended by then.
    for process in [parent, child] {
        let exit = lifecycle(process_flag::EXIT, process, nobody(1), 3);
        assert_eq!(desk.take(&exit), (process == parent, vec![]));
    }
    assert_eq!(desk.take(&segment(grandchild, 3)), (true, vec![Out::Process(grandchild, false)]));
    assert_eq!(desk.take(&segment(child, 3)), (true, vec![Out::Process(child, false)]));
    assert_eq!(desk.lost(), (0, 0), "they are who their parent was");
}
