use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use zerocopy::FromZeros as _;

use super::*;
use crate::model::Attribute;

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
    !matches!(lines.line(ProcessKey::undated(tgid), &record, &program("app", "app")), Wanted::No)
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
        pipe(ProcessKey::undated(self.pid()), 0).expect("a pipe")
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
fn agents_and_runtimes_by_the_names_of_their_executables() {
    for name in
        ["containerd-shim-runc-v2", "containerd", "conmon", "otelcol-contrib", "vector", "filebeat"]
    {
        assert!(is_copier(name), "{name}");
    }
    for name in ["nginx", "java", "vectorise", "my-containerd", "tee", ""] {
        assert!(!is_copier(name), "{name}");
    }
}

#[test]
fn services_that_are_skipped_and_copiers_are_left_out() {
    let (mut lines, _) = lines_of(&LogOptions { skip: vec!["noisy".into()], ..of(LogsOf::Traced) });
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "noisy"));
    lines.introduce(ProcessKey::undated(NOBODY + 1), &program("fluent-bit", "fluent-bit"));
    lines.introduce(ProcessKey::undated(NOBODY + 2), &program("app", "shop"));
    let taken = |lines: &mut Lines, tgid| is_taken(lines, tgid, (1, u64::from(tgid)));
    assert!(!taken(&mut lines, NOBODY) && !taken(&mut lines, NOBODY + 1));
    assert!(taken(&mut lines, NOBODY + 2));
    // Another program in the same process is another matter.
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "shop"));
    assert!(taken(&mut lines, NOBODY));
}

#[test]
fn a_process_is_chosen_by_its_first_exchange() {
    let (mut lines, _) = lines_of(&of(LogsOf::Exchanging));
    lines.introduce(ProcessKey::undated(NOBODY), &program("app", "shop"));
    lines.introduce(ProcessKey::undated(NOBODY + 1), &program("fluentd", "fluentd"));
    assert!(!is_taken(&mut lines, NOBODY, (1, 1)) && !lines.attachment_due());
    // Agents make exchanges too.
    lines.exchange(ProcessKey::undated(NOBODY + 1));
    assert!(!lines.attachment_due());
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

#[test]
fn files_by_their_paths_and_named_once() {
    let directory = std::env::temp_dir().join(format!("sensor-lines-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("app.log");
    let mut file = fs::File::create(&path).unwrap();
    writeln!(file, "a line").unwrap();
    let metadata = file.metadata().unwrap();
    let (mut lines, _) = lines_of(&LogOptions {
        files: vec![format!("{}/*.log", directory.display())],
        ..of(LogsOf::Traced)
    });
    let me = std::process::id();
    lines.introduce(ProcessKey::undated(me), &program("app", "app"));
    let place = (device(metadata.dev()), metadata.ino());
    let mut line = record(me, line_stream::FILE, place);
    line.fd = std::os::fd::AsRawFd::as_raw_fd(&file).cast_unsigned();
    let resource = program("app", "app");
    match lines.line(ProcessKey::undated(me), &line, &resource) {
        Wanted::Named(named, as_path) => {
            assert_eq!((named.device, named.inode), place);
            assert_eq!(&*as_path, path.to_str().unwrap());
        }
        Wanted::Yes | Wanted::No => panic!("it is wanted, and new"),
    }
    assert!(matches!(lines.line(ProcessKey::undated(me), &line, &resource), Wanted::Yes));
    fs::remove_dir_all(&directory).unwrap();
}
