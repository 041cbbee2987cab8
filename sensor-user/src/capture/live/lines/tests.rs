use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zerocopy::{FromBytes as _, FromZeros as _, IntoBytes as _};

use super::directory::{CLOSED, Directory, fd, id};
use super::*;
use crate::model::Attribute;

/// Longer than any look-up that is not stuck.
const LONG: Duration = Duration::from_secs(20);

/// More than any process id (`PID_MAX_LIMIT`, include/linux/threads.h).
const NOBODY: u32 = (4 << 20) + 1;

fn lines_of(options: &LogOptions) -> (Lines, Config) {
    let mut config = Config::ALL;
    let lines = Lines::new(options, &mut config, &Arc::default()).unwrap();
    (lines, config)
}

fn of(of: LogsOf) -> LogOptions {
    LogOptions { of, ..LogOptions::default() }
}

fn program(executable: &str, service: &str) -> Resource {
    Resource {
        attributes: vec![
            Attribute::new("service.name", service.to_owned()),
            Attribute::new("process.executable.name", executable.to_owned()),
        ],
        ..Resource::default()
    }
}

fn record(tgid: u32, stream: u32, (device, inode): Place) -> LineRecord {
    let mut record = LineRecord::new_zeroed();
    (record.tgid, record.stream, record.device, record.inode) = (tgid, stream, device, inode);
    record
}

fn is_taken(lines: &mut Lines, tgid: u32, place: Place) -> bool {
    let record = record(tgid, line_stream::STDOUT, place);
    lines.line(
        ProcessKey::undated(tgid),
        &record,
        record.as_bytes(),
        &program("app", "app"),
        &mut |_| (),
    )
}

/// An item that was passed on: a path, or a record by its file descriptor and its count of lost
/// records.
#[derive(Debug, PartialEq, Eq)]
enum Passed {
    File(String),
    Record(u32, u64),
}

fn collect(into: &mut Vec<Passed>) -> impl FnMut(Raw<'_>) {
    |raw| match raw {
        Raw::LogFile { path, .. } => into.push(Passed::File(path.to_string())),
        Raw::Record(bytes) => {
            let record = LineRecord::ref_from_bytes(bytes).unwrap();
            into.push(Passed::Record(record.fd, record.lost_records));
        }
        other => panic!("{other:?}"),
    }
}

/// Handles a record of a write to a file.
fn write(lines: &mut Lines, record: &LineRecord, passed: &mut Vec<Passed>) {
    let resource = program("app", "app");
    if lines.line(
        ProcessKey::undated(record.tgid),
        record,
        record.as_bytes(),
        &resource,
        &mut collect(passed),
    ) {
        passed.push(Passed::Record(record.fd, record.lost_records));
    }
}

/// Applies answers until the condition holds.
fn settle(lines: &mut Lines, passed: &mut Vec<Passed>, until: impl Fn(&Lines, &[Passed]) -> bool) {
    let deadline = Instant::now() + LONG;
    while !until(lines, passed) {
        assert!(Instant::now() < deadline, "{passed:?}");
        lines.settle(&mut collect(passed));
        std::thread::yield_now();
    }
}

/// A process whose standard input is a pipe; ended when dropped.
struct Reader(Child);

impl Reader {
    fn start() -> Self {
        Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn input(&self) -> Place {
        lines_of(&of(LogsOf::Traced)).0.pipe(ProcessKey::undated(self.pid()), 0, 0).expect("a pipe")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_kernel_side_is_told_what_holds_for_all() {
    let files = LogOptions { files: vec!["/var/log/*".into()], ..of(LogsOf::Traced) };
    let told = |options: &LogOptions| {
        let (_, config) = lines_of(options);
        (config.lines, config.line_files)
    };
    assert_eq!(told(&of(LogsOf::Nobody)), (lines::OFF, 0));
    assert_eq!(told(&of(LogsOf::Exchanging)), (lines::CHOSEN, 0));
    assert_eq!(told(&of(LogsOf::Traced)), (lines::TRACED, 0));
    assert_eq!(told(&files), (lines::TRACED, 1));
}

#[test]
fn services_that_are_skipped_are_left_out() {
    let (mut lines, _) = lines_of(&LogOptions { skip: vec!["noisy".into()], ..of(LogsOf::Traced) });
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "noisy"));
    lines.introduce(ProcessKey::undated(NOBODY + 1), &program("app", "shop"));
    let taken = |lines: &mut Lines, key| is_taken(lines, key, (1, u64::from(key)));
    assert!(!taken(&mut lines, NOBODY) && taken(&mut lines, NOBODY + 1));
    // Another program in the same process is another matter.
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "shop"));
    assert!(taken(&mut lines, NOBODY));
}

#[test]
fn a_process_is_chosen_by_its_first_exchange() {
    let (mut lines, _) = lines_of(&of(LogsOf::Exchanging));
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "shop"));
    lines.introduce(ProcessKey::undated(NOBODY + 1), &program("app", "shop"));
    assert!(!is_taken(&mut lines, NOBODY, (1, 1)) && !lines.attachment_due());
    lines.exchange(ProcessKey::undated(NOBODY));
    assert!(lines.attachment_due() && !lines.attachment_due());
    assert!(is_taken(&mut lines, NOBODY, (1, 1)) && !is_taken(&mut lines, NOBODY + 1, (1, 2)));
    // It runs something else now.
    lines.introduce(ProcessKey::undated(NOBODY), &program("other", "other"));
    assert!(!is_taken(&mut lines, NOBODY, (1, 1)));
    // A program that is attached twice would tell of everything twice.
    lines.exchange(ProcessKey::undated(NOBODY));
    assert!(is_taken(&mut lines, NOBODY, (1, 1)) && !lines.attachment_due());
}

#[test]
fn nothing_is_attached_for_nobody() {
    let (mut lines, _) = lines_of(&of(LogsOf::Nobody));
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "shop"));
    lines.exchange(ProcessKey::undated(NOBODY));
    assert!(!lines.attachment_due());
    let (mut lines, _) = lines_of(&of(LogsOf::Traced));
    assert!(lines.attachment_due());
}

/// `app | tee log`, the reader being introduced before and after the first line, and at rest.
#[test]
fn who_reads_what_is_captured_only_passes_it_on() {
    let reader = Reader::start();
    let (own, resource) = ((7, 77), program("tee", "tee"));
    for before in [true, false] {
        let (mut lines, _) = lines_of(&of(LogsOf::Traced));
        lines.introduce(ProcessKey::undated(NOBODY), &program("app", "app"));
        if before {
            lines.introduce(ProcessKey::undated(reader.pid()), &resource);
            assert!(is_taken(&mut lines, reader.pid(), own), "its input is nobody's output");
        }
        assert!(is_taken(&mut lines, NOBODY, reader.input()));
        if !before {
            lines.introduce(ProcessKey::undated(reader.pid()), &resource);
        }
        assert!(!is_taken(&mut lines, reader.pid(), own), "before: {before}");
        assert!(is_taken(&mut lines, NOBODY, reader.input()));
    }
}

/// `app | tee log | grep error`: the last one reads what was captured in front of the one before.
#[test]
fn who_reads_what_is_passed_on_passes_it_on() {
    let mut first =
        Reader(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let between = first.0.stdout.take().unwrap();
    let last = Reader(Command::new("cat").stdin(between).stdout(Stdio::null()).spawn().unwrap());
    for order in [[first.pid(), last.pid()], [last.pid(), first.pid()]] {
        for before in [true, false] {
            let (mut lines, _) = lines_of(&of(LogsOf::Traced));
            lines.introduce(ProcessKey::undated(NOBODY), &program("app", "app"));
            let introduce = |lines: &mut Lines| {
                for pid in order {
                    lines.introduce(ProcessKey::undated(pid), &program("cat", "cat"));
                }
            };
            if before {
                introduce(&mut lines);
            }
            assert!(is_taken(&mut lines, NOBODY, first.input()));
            if !before {
                introduce(&mut lines);
            }
            assert!(!is_taken(&mut lines, first.pid(), last.input()), "{order:?}, {before}");
            assert!(!is_taken(&mut lines, last.pid(), (7, 77)), "{order:?}, {before}");
        }
    }
}

/// `sensor run | jq`: a line for each line would never end.
#[test]
fn who_reads_the_sensors_own_output_is_left_out() {
    let mut writer =
        Reader(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let between = writer.0.stdout.take().unwrap();
    let reader = Reader(Command::new("cat").stdin(between).stdout(Stdio::null()).spawn().unwrap());
    let mut config = Config { self_tgid: writer.pid(), ..Config::ALL };
    let mut lines = Lines::new(&of(LogsOf::Traced), &mut config, &Arc::default()).unwrap();
    lines.introduce(ProcessKey::undated(reader.pid()), &program("jq", "jq"));
    assert!(!is_taken(&mut lines, reader.pid(), (7, 77)));
}

/// A reader of a pipe that is not captured is a service like any other.
#[test]
fn a_pipe_from_who_is_not_captured_is_no_copy() {
    let reader = Reader::start();
    let (mut lines, _) = lines_of(&of(LogsOf::Traced));
    lines.introduce(ProcessKey::undated(reader.pid()), &program("cat", "cat"));
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "app"));
    assert!(is_taken(&mut lines, NOBODY, (1, 1)));
    assert!(is_taken(&mut lines, reader.pid(), (7, 77)));
}

/// A process of the node that runs this executable, in a directory in place of `/proc`.
fn node(directory: &Directory, executable: &str) -> ProcessKey {
    directory.file(&format!("bin/{executable}"));
    directory.link("proc/1/root", &directory.0);
    directory.link("proc/7/root", &directory.0);
    directory.link("proc/7/exe", directory.0.join("bin").join(executable));
    ProcessKey::undated(7)
}

fn lines_below(directory: &Directory, options: &LogOptions) -> (Lines, Arc<Metrics>) {
    let metrics = Arc::<Metrics>::default();
    let proc = directory.0.join("proc");
    (Lines::below(proc, options, &mut Config::ALL.clone(), &metrics).unwrap(), metrics)
}

#[test]
fn lines_of_a_copier_are_left_out() {
    let directory = Directory::new("lines-copier");
    let copier = node(&directory, "fluent-bit");
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata(&directory.0).unwrap()) != 0 {
        return; // A copier's executable is root's.
    }
    let (mut lines, metrics) = lines_below(&directory, &of(LogsOf::Traced));
    lines.introduce(copier, &program("fluent-bit", "fluent-bit"));
    settle(&mut lines, &mut Vec::new(), |lines, _| {
        lines.processes.get(copier).unwrap().checked.is_none()
    });
    assert!(!is_taken(&mut lines, copier.tgid.0, (1, 1)));
    assert_eq!(metrics.get(Counter::LogCopiers), 1);
    // Agents take part in exchanges.
    lines.exchange(copier);
    assert!(!is_taken(&mut lines, copier.tgid.0, (1, 1)));
}

/// `cp /bin/app ./containerd`, as a user.
#[test]
fn the_name_of_a_copier_hides_nothing() {
    let directory = Directory::new("lines-hiding");
    let process = node(&directory, "containerd");
    // As another user, the file is that user's already.
    let _ = std::os::unix::fs::chown(directory.0.join("bin/containerd"), Some(65534), None);
    let (mut lines, metrics) = lines_below(&directory, &of(LogsOf::Traced));
    lines.introduce(process, &program("containerd", "containerd"));
    assert!(is_taken(&mut lines, process.tgid.0, (1, 1)));
    settle(&mut lines, &mut Vec::new(), |lines, _| {
        lines.processes.get(process).unwrap().checked.is_none()
    });
    assert!(is_taken(&mut lines, process.tgid.0, (1, 1)));
    assert_eq!(metrics.get(Counter::LogCopiers), 0);
}

fn with_files(directory: &Directory, globs: &[&str]) -> LogOptions {
    let files = globs.iter().map(|glob| directory.path(glob)).collect();
    LogOptions { files, ..of(LogsOf::Traced) }
}

fn written(file: &fs::File, fd: u32) -> LineRecord {
    let FileId { device, inode, .. } = id(file);
    let mut record = record(std::process::id(), line_stream::FILE, (device, inode));
    record.fd = fd;
    record
}

#[test]
fn files_by_their_paths_and_named_once() {
    let directory = Directory::new("lines-files");
    let mut file = directory.file("app.log");
    writeln!(file, "a line").unwrap();
    let (mut lines, _) = lines_of(&with_files(&directory, &["*.log"]));
    lines.introduce(ProcessKey::undated(std::process::id()), &program("app", "app"));
    let line = written(&file, fd(&file));
    let mut passed = Vec::new();
    write(&mut lines, &line, &mut passed);
    write(&mut lines, &line, &mut passed);
    settle(&mut lines, &mut passed, |_, passed| passed.len() == 3);
    let record = || Passed::Record(line.fd, 0);
    assert_eq!(passed, [Passed::File(directory.path("app.log")), record(), record()]);
}

/// Records of a closed file wait for its verdict, in order; others do not wait.
#[test]
fn records_of_a_closed_file_wait_for_its_verdict() {
    let directory = Directory::new("lines-closed");
    let (log, text) = (directory.file("sub/app.log"), directory.file("sub/app.txt"));
    let (mut lines, _) = lines_of(&with_files(&directory, &["sub/*.log"]));
    let me = ProcessKey::undated(std::process::id());
    lines.introduce(me, &program("app", "app"));
    let mut passed = Vec::new();
    for n in 0..3 {
        write(&mut lines, &written(&log, CLOSED + n), &mut passed);
        write(&mut lines, &written(&text, CLOSED + n), &mut passed);
    }
    assert_eq!(passed, []);
    assert!(is_taken(&mut lines, me.tgid.0, (1, 1)));
    settle(&mut lines, &mut passed, |lines, _| lines.held.is_empty());
    let record = |n| Passed::Record(CLOSED + n, 0);
    assert_eq!(
        passed,
        [Passed::File(directory.path("sub/app.log")), record(0), record(1), record(2)]
    );
    write(&mut lines, &written(&log, CLOSED + 3), &mut passed);
    assert_eq!(passed.last(), Some(&record(3)));
    assert_eq!(metrics_of(&lines).get(Counter::LogWritesLostFile), 0);
}

/// A process that writes to a file, closes it, and ends at once.
#[test]
fn the_end_of_a_process_waits_for_look_ups() {
    let directory = Directory::new("lines-end");
    let log = directory.file("app.log");
    let (mut lines, _) = lines_of(&with_files(&directory, &["*.log"]));
    let me = ProcessKey::undated(std::process::id());
    let mut passed = Vec::new();
    let mut found = 0;
    // The looker's thread may not get a core in time; once is enough.
    for _ in 0..200 {
        lines.introduce(me, &program("app", "app"));
        lines.files = Files::new("/proc".into(), Arc::clone(&lines.wanted));
        passed.clear();
        write(&mut lines, &written(&log, CLOSED), &mut passed);
        lines.part(me, &mut collect(&mut passed));
        lines.forget(me);
        assert!(lines.held.is_empty());
        found += usize::from(!passed.is_empty());
        std::thread::sleep(Duration::from_millis(20));
        if found > 2 {
            break;
        }
    }
    assert!(found > 0);
}

/// A dropped record is counted, and later ones carry the number.
#[test]
fn records_without_a_verdict_are_lost_and_counted() {
    let directory = Directory::new("lines-lost");
    let (log, other) = (directory.file("app.log"), directory.file("other.log"));
    let (mut lines, _) = lines_of(&with_files(&directory, &["*.log"]));
    let me = ProcessKey::undated(std::process::id());
    let mut passed = Vec::new();
    lines.introduce(me, &program("app", "app"));
    // A process of a container, which has ended.
    let gone = Process { view: View::Other, ..*lines.processes.get(me).unwrap() };
    lines.proc = directory.0.join("proc");
    lines.looks = looks::looks(lines.proc.clone(), Arc::clone(&lines.wanted));
    lines.processes.insert(me, gone);
    lines.files = Files::new(lines.proc.clone(), Arc::clone(&lines.wanted));
    write(&mut lines, &written(&log, CLOSED), &mut passed);
    settle(&mut lines, &mut passed, |lines, _| lines.held.is_empty());
    assert_eq!(passed, []);
    assert_eq!(metrics_of(&lines).get(Counter::LogWritesLostFile), 1);
    lines.files.settle(id(&other), Some("/other.log"));
    write(&mut lines, &written(&other, 5), &mut passed);
    assert_eq!(passed, [Passed::Record(5, 1)]);
}

fn metrics_of(lines: &Lines) -> &Metrics {
    &lines.metrics
}

/// Named pipes need a look-up.
#[test]
fn a_reader_of_a_captured_named_pipe_is_left_out() {
    let directory = Directory::new("lines-fifo");
    let path = directory.0.join("fifo");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // Open for both, so that nobody waits for the other end.
    let fifo = fs::File::options().read(true).write(true).open(&path).unwrap();
    let place = id(&fifo);
    let reader = Reader(Command::new("cat").stdin(fifo).stdout(Stdio::null()).spawn().unwrap());
    let (mut lines, _) = lines_of(&of(LogsOf::Traced));
    let reads = ProcessKey::undated(reader.pid());
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "app"));
    assert!(is_taken(&mut lines, NOBODY, (place.device, place.inode)));
    lines.introduce(reads, &program("cat", "cat"));
    settle(&mut lines, &mut Vec::new(), |lines, _| {
        lines.processes.get(reads).unwrap().input.is_some()
    });
    assert!(!is_taken(&mut lines, reads.tgid.0, (7, 77)));
}
