//! What processes write to their logs, in a recording, beside what they say themselves that they wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use sensor::capture::event::{Event, FileId, LogStream, Written};
use sensor::capture::{self, Pace, Progress};
use sensor::metrics::Metrics;
use sensor::model::Resource;

use crate::edges::raw::Running;
use crate::process::{Held, fresh_directory};
use crate::sensor::{Engine, python};
use crate::workloads::source;

/// How long a scenario may take, on an emulated processor.
const PATIENCE: Duration = Duration::from_secs(120);

/// A write, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who wrote.
    pub pid: u32,
    /// Which thread of it.
    pub tid: u32,
    /// `stdout`, `stderr` or `file`.
    pub stream: &'static str,
    /// Where to.
    pub file: FileId,
    /// What.
    pub bytes: Vec<u8>,
    /// It goes on where the writer's part before ended.
    pub continues: bool,
    /// Bytes after it that are lost.
    pub lost_after: u32,
    /// Records lost until then.
    pub lost_records: u64,
}

impl Write {
    fn of(written: &Written<'_>) -> Self {
        Self {
            pid: written.process.tgid.0,
            tid: written.caller.tid,
            stream: match written.stream {
                LogStream::Stdout => "stdout",
                LogStream::Stderr => "stderr",
                LogStream::File => "file",
            },
            file: written.file,
            bytes: written.bytes.to_vec(),
            continues: written.continues,
            lost_after: written.lost_after,
            lost_records: written.lost_records,
        }
    }
}

/// What came of a scenario of `tests/workloads/lines/writers.py`.
#[derive(Debug)]
pub struct Recorded {
    /// In their order.
    pub writes: Vec<Write>,
    /// Files that were named, in their order.
    pub files: Vec<(FileId, String)>,
    /// Who the processes are, as last said.
    pub processes: BTreeMap<u32, Arc<Resource>>,
    /// The kernel side's counters.
    pub counters: BTreeMap<String, u64>,
    /// What is to be there, by process and stream.
    pub expected: BTreeMap<(u32, String), Vec<u8>>,
    /// Where the scenario has its files. Gone with this.
    pub directory: Option<Directory>,
}

/// A directory that is removed with this.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Recorded {
    /// Lets a scenario run while `sensor record` is on its processes, with `more` arguments; `{}` in them is the
    /// directory. `meanwhile` may interfere with the recorder. None where there is no Python.
    ///
    /// # Errors
    /// When the scenario or the recorder fails.
    pub fn run(
        engine: Engine,
        scenario: &str,
        more: &[&str],
        meanwhile: impl FnOnce(&Running),
    ) -> Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let directory = Directory(fresh_directory("lines")?.canonicalize()?);
        let path = directory.path().display().to_string();
        let mut command = Command::new(python);
        command.arg(source("lines/writers.py")).args([scenario, &path]);
        command.env("OTEL_SERVICE_NAME", "writers");
        let mut program = Held::new(&command)?;
        let (file, engine, pid) =
            (format!("{path}/recording"), engine.to_string(), program.pid().to_string());
        let more: Vec<String> = more.iter().map(|it| it.replace("{}", &path)).collect();
        let mut arguments = vec!["record", &file, "--engine", &engine, "--pid", &pid];
        arguments.extend(more.iter().map(String::as_str));
        let recorder = Running::start(&arguments);
        program.release()?;
        meanwhile(&recorder);
        let output = program.finish(PATIENCE)?;
        ensure!(output.status.success(), "{}\n{}", output.text(), output.stderr);
        recorder.wait_until_quiet(PATIENCE);
        let recorded = recorder.stop();
        ensure!(recorded.status.success(), "{recorded:#?}");

        let read = Self::read(Path::new(&file))?;
        let expected = expected(directory.path())?;
        Ok(Some(Self { expected, directory: Some(directory), ..read }))
    }

    /// What is in a recording.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let mut source = capture::open(file, Pace::Full, &Arc::new(Metrics::default()))?;
        let (mut writes, mut files, mut processes) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut take = |event: Event<'_>| match event {
            Event::Written(written) => writes.push(Write::of(&written)),
            Event::LogFile { file, path } => files.push((file, path.to_string())),
            Event::Process { process, resource, .. } => {
                processes.insert(process.tgid.0, resource);
            }
            _ => {}
        };
        while source.poll(&mut take)? != Progress::Finished {}
        let counters = source.kernel_counters().iter().cloned().collect();
        let expected = BTreeMap::new();
        Ok(Self { writes, files, processes, counters, expected, directory: None })
    }

    /// A file of the scenario's.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn file(&self, name: &str) -> Vec<u8> {
        let path = self.directory.as_ref().map(|it| it.path().join(name));
        match path.map(std::fs::read) {
            Some(Ok(bytes)) => bytes,
            #[expect(clippy::panic, reason = "this is how a test fails")]
            other => panic!("{name}: {other:?}"),
        }
    }

    /// One of the kernel side's counters.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        match self.counters.get(name) {
            Some(&value) => value,
            #[expect(clippy::panic, reason = "this is how a test fails")]
            None => panic!("no counter {name}"),
        }
    }

    /// What was seen, by process and stream.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<(u32, String), Vec<u8>> {
        let mut seen = BTreeMap::<_, Vec<u8>>::new();
        for write in &self.writes {
            let all = seen.entry((write.pid, write.stream.to_owned())).or_default();
            all.extend_from_slice(&write.bytes);
        }
        seen
    }

    /// Runs of the kernel side's programs that the kernel left out: see [`Report::runs_missed`].
    ///
    /// [`Report::runs_missed`]: crate::sensor::Report::runs_missed
    ///
    /// # Panics
    /// Never: it is always counted.
    #[must_use]
    pub fn runs_missed(&self) -> u64 {
        self.counter("kernel.runs_missed")
    }

    /// All that is a log was seen, byte by byte, and nothing else. Lines may be missing where the kernel has
    /// left out runs.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_whole(&self) {
        let (seen, expected) = (self.seen(), &self.expected);
        assert_eq!(self.counter("kernel.lines_lost"), 0);
        if self.runs_missed() > 0 {
            for (of, seen) in &seen {
                let mut expected = expected[of].split_inclusive(|&byte| byte == b'\n');
                for line in seen.split_inclusive(|&byte| byte == b'\n') {
                    let is_there = expected.any(|one| one == line);
                    assert!(is_there, "{of:?}: {:?}", String::from_utf8_lossy(line));
                }
            }
            return;
        }
        let what: Vec<_> = seen.keys().collect();
        assert_eq!(what, expected.keys().collect::<Vec<_>>());
        for (of, expected) in expected {
            let seen = &seen[of];
            let same = seen.iter().zip(expected).take_while(|(a, b)| a == b).count();
            let (a, b) = (excerpt(seen, same), excerpt(expected, same));
            assert!(
                seen == expected,
                "{of:?}: {} bytes instead of {}, the first {same} the same, then {a:?} instead of {b:?}",
                seen.len(),
                expected.len()
            );
        }
    }
}

fn excerpt(bytes: &[u8], from: usize) -> String {
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).chars().take(60).collect()
}

fn expected(directory: &Path) -> Result<BTreeMap<(u32, String), Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((pid, stream)) =
            name.strip_prefix("expected-").and_then(|rest| rest.split_once('-'))
        {
            all.insert((pid.parse()?, stream.to_owned()), std::fs::read(entry.path())?);
        }
    }
    Ok(all)
}
