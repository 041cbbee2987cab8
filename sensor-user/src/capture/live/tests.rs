use sensor_ebpf::abi::{EndRecord, LineRecord, RecordKind, SegmentRecord};
use zerocopy::{FromZeros, IntoBytes};

use super::*;
use crate::metrics::Counter;

/// What becomes of a record of a process that has ended: whether it is wanted, who is announced,
/// and how many processes are counted as unknown.
fn announced(record: &[u8], selection: Selection) -> (bool, Vec<ProcessKey>, u64) {
    let metrics = Arc::new(Metrics::default());
    let host = Host { name: None, id: None };
    let identifier =
        Identifier::new("/nowhere".into(), host, Trust::default(), Arc::clone(&metrics));
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
    let (mut scope, mut config) = Scope::new(&options).unwrap();
    let mut lines = Lines::new(&options.logs, &mut config, &metrics).unwrap();
    let mut golang = Golang::new(&metrics, false).unwrap();
    let mut announcer = Announcer {
        golang: &mut golang,
        lines: &mut lines,
        known: &mut FxHashMap::default(),
        identifier: &identifier,
        scope: &mut scope,
        metrics: &metrics,
    };
    let mut names = Vec::new();
    let wanted = announcer.announce(record, &mut |raw| {
        if let Raw::Process { process, .. } = raw {
            names.push(process);
        }
    });
    (wanted, names, metrics.get(Counter::ProcessesUnknown))
}

/// More than any process id (`PID_MAX_LIMIT`, include/linux/threads.h).
const NOBODY: u32 = (4 << 20) + 1;

fn end() -> EndRecord {
    let mut record = EndRecord::new_zeroed();
    record.kind = RecordKind::End as u32;
    record.tgid = NOBODY;
    record
}

fn by_name() -> Selection {
    Selection::new([], &["python*".to_owned()], &[]).unwrap()
}

/// A process that ends leaves its connections to the kernel, which closes them after it.
#[test]
fn a_connection_may_end_after_its_process() {
    for selection in [Selection::default(), by_name()] {
        assert_eq!(announced(end().as_bytes(), selection), (true, vec![], 0));
    }
}

/// What announces a process, and is of one that is gone.
fn of_who_is_gone(record: &[u8]) {
    let everybody = announced(record, Selection::default());
    assert_eq!(everybody, (true, vec![ProcessKey::undated(NOBODY)], 1));
    // Nobody can tell that it had the name.
    assert_eq!(announced(record, by_name()), (false, vec![], 0));
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
