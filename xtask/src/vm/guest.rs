//! The initramfs: the sensor, its tests and the programs they trace, with the libraries of each, at
//! the places that they have here. What the tests say of paths then holds there as well.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::cpio::Tree;
use super::plan::{Places, SUITES};
use crate::run::{Cmd, which};
use crate::{ui, workspace};

/// Where the binaries of the tests are in the machine. (Those that tests start by a path of this
/// machine's are at that path.)
const TESTS: &str = "/vm/tests";

/// What the commands in the machine get for their environment, and nothing else.
pub(super) fn environment(places: &Places) -> Vec<String> {
    vec![
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned(),
        "HOME=/root".to_owned(),
        "TMPDIR=/tmp".to_owned(),
        "NO_COLOR=1".to_owned(),
        "SENSOR_LOG=sensor=info".to_owned(),
        // Everything has to be there: a test that is skipped has failed.
        "SENSOR_CI=1".to_owned(),
        format!("SENSOR={}", places.sensor.display()),
    ]
}

/// Where things are in the machine.
pub(super) fn places() -> Places {
    Places {
        sensor: "/usr/bin/sensor".into(),
        init: "/init".into(),
        tests: |name| Path::new(TESTS).join(name),
    }
}

/// Builds what runs in the machines, and packs it.
///
/// # Errors
/// It does not build, or a program to be traced is not installed.
pub(super) fn pack(home: &Path, busybox: &Path) -> Result<PathBuf> {
    let built = build()?;
    let stripped = home.join("stripped");
    let _ = fs::remove_dir_all(&stripped);
    fs::create_dir_all(&stripped)?;
    let mut guest = Guest { tree: Tree::default(), libraries: BTreeSet::new(), stripped };
    guest.skeleton(busybox);
    let places = places();
    guest.ours(&workspace::release_binary("sensor"), &places.sensor)?;
    for program in &built {
        match program.kind {
            Made::Test => guest.ours(&program.path, &(places.tests)(&program.name))?,
            Made::Bin if program.name == "sensor-vm-init" => {
                guest.ours(&program.path, &places.init)?;
            }
            Made::Bin if program.name == "sensor-workload" => {
                guest.ours(&program.path, &program.path)?;
            }
            Made::Bin => {}
        }
    }
    for name in ["curl", "nginx"] {
        let path = find(name)?;
        guest.program(&path, &Path::new("/usr/bin").join(name))?;
    }
    guest.python()?;
    // Where nginx looks before it has read its configuration.
    guest.tree.directory("/var/log/nginx");
    guest.tree.directory("/var/lib/nginx");
    let path = home.join("initramfs.cpio");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut out = BufWriter::new(file);
    guest.tree.write(&mut out)?;
    let size = out.into_inner()?.metadata()?.len();
    ui::line(format_args!("initramfs: {} MB", size >> 20));
    Ok(path)
}

/// A binary that cargo made.
struct Built {
    name: String,
    path: PathBuf,
    kind: Made,
}

enum Made {
    Test,
    Bin,
}

fn build() -> Result<Vec<Built>> {
    workspace::build()?;
    let tests = || {
        let command = Cmd::cargo();
        let fixed = ["test", "--locked", "--release", "--no-run", "--package", "sensor-tests"];
        SUITES
            .iter()
            .fold(command.args(fixed), |command, suite| command.args(["--test", suite.binary]))
    };
    tests().run()?;
    // Again, to be told where they are.
    let said = tests().args(["--message-format", "json"]).read()?;
    let mut built = Vec::new();
    for line in said.lines() {
        let message: Value = serde_json::from_str(line).context("cargo's messages")?;
        let (Some(path), Some(name)) =
            (message["executable"].as_str(), message["target"]["name"].as_str())
        else {
            continue;
        };
        let kind = match message["target"]["kind"][0].as_str() {
            Some("test") => Made::Test,
            Some("bin") => Made::Bin,
            _ => continue,
        };
        built.push(Built { name: name.to_owned(), path: path.into(), kind });
    }
    Ok(built)
}

struct Guest {
    tree: Tree,
    /// Those that are in it.
    libraries: BTreeSet<PathBuf>,
    /// Where binaries without debug information are put.
    stripped: PathBuf,
}

impl Guest {
    fn skeleton(&mut self, busybox: &Path) {
        let tree = &mut self.tree;
        for place in ["proc", "sys", "dev", "tmp", "run", "root"] {
            tree.directory(place);
        }
        // Open before anything is mounted.
        tree.device("/dev/console", 5, 1);
        tree.device("/dev/null", 1, 3);
        tree.text(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        );
        tree.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        tree.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
        tree.file("/bin/busybox", busybox);
        for applet in ["sh", "echo", "tee"] {
            tree.link(format!("/bin/{applet}"), "busybox");
        }
        if Path::new("/etc/ld.so.cache").exists() {
            tree.same("/etc/ld.so.cache");
        }
    }

    /// One of our own binaries, without its debug information: a tenth of the size.
    fn ours(&mut self, source: &Path, place: &Path) -> Result<()> {
        let name = place.file_name().context("a binary without a name")?;
        let small = self.stripped.join(name);
        let strip = Cmd::new("strip").arg("--strip-debug").arg("-o").arg(&small).arg(source);
        if strip.read().is_err() {
            fs::copy(source, &small).with_context(|| source.display().to_string())?;
        }
        self.tree.file(place, small);
        self.libraries_of(source)
    }

    /// A program of this machine.
    fn program(&mut self, source: &Path, place: &Path) -> Result<()> {
        self.tree.file(place, source.canonicalize()?);
        self.libraries_of(source)
    }

    /// The libraries that it loads, where the loader looks for them.
    fn libraries_of(&mut self, program: &Path) -> Result<()> {
        let said = Cmd::new("ldd").arg(program).read()?;
        // `name => /path (address)`, or `/path (address)` for the loader.
        for path in said.split_whitespace().filter(|word| word.starts_with('/')) {
            if self.libraries.insert(path.into()) && !self.tree.has(path) {
                self.tree.same(path);
            }
        }
        if let Some(missing) = said.lines().find(|line| line.contains("not found")) {
            bail!("{}: {}", program.display(), missing.trim());
        }
        Ok(())
    }

    /// Python with the modules that the servers of the tests import, and no others. It says itself
    /// which they are.
    fn python(&mut self) -> Result<()> {
        let said = Cmd::new(find("python3")?).args(["-c", PYTHON]).read()?;
        let mut lines = said.lines();
        let executable = Path::new(lines.next().context("Python says nothing")?);
        self.program(executable, executable)?;
        if executable != Path::new("/usr/bin/python3") {
            self.tree.link("/usr/bin/python3", executable);
        }
        for path in lines.map(Path::new) {
            self.tree.same(path);
            if path.extension().is_some_and(|extension| extension == "so") {
                self.libraries_of(path)?;
            }
        }
        let programs =
            ["python/server.py", "python/relay.py", "python/forks.py", "lines/writers.py"];
        for program in programs {
            self.tree.same(workspace::root().join("tests/workloads").join(program));
        }
        Ok(())
    }
}

/// Prints the interpreter, and the files of the modules of what is in `tests/workloads/python` and `lines` and
/// of all that those import.
const PYTHON: &str = "
import os, sys, json, time, http.server
import ctypes, pty, socket, threading, tty
import asyncio, concurrent.futures.thread, http.client
import encodings.idna, encodings.latin_1, encodings.ascii, mimetypes, urllib.parse, email.parser
print(os.path.realpath(sys.executable))
for module in list(sys.modules.values()):
    for name in ('__file__', '__cached__'):
        path = getattr(module, name, None)
        if path and os.path.isfile(path):
            print(os.path.realpath(path))
";

/// Daemons are in /usr/sbin, which is not on everyone's PATH.
fn find(name: &str) -> Result<PathBuf> {
    let sbin = Path::new("/usr/sbin").join(name);
    which(name).or_else(|| sbin.is_file().then_some(sbin)).with_context(|| {
        format!(
            "there is no {name} here: `cargo xtask test --only provision` installs it on Debian"
        )
    })
}
