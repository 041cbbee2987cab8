//! Programs the tests trace or drive, from Debian's packages.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::{Cmd, which};
use crate::ui;

/// (the program looked for, the Debian package that has it)
const TOOLS: [(&str, &str); 22] = [
    ("c++", "g++"), // libFuzzer is C++
    ("curl", "curl"),
    ("gcc", "gcc"),
    ("go", "golang-go"),
    ("javac", "default-jdk-headless"),
    ("mvn", "maven"), // libraries of what the tests trace in Java
    ("nginx", "nginx"),
    ("node", "nodejs"),
    ("python3", "python3"),
    ("valgrind", "valgrind"), // the guards count instructions with it
    ("tcpdump", "tcpdump"),   // HTTP/2 of real programs, as packets
    ("nghttpd", "nghttp2-server"),
    ("h2load", "nghttp2-client"),
    ("nghttp", "nghttp2-client"),
    ("ip", "iproute2"),        // network namespaces
    ("nft", "nftables"),       // and a NAT between them
    ("npm", "npm"),            // packages of what the tests trace in Node
    ("pip3", "python3-pip"),   // and in Python
    ("setpriv", "util-linux"), // the privileges of the unit, without a service manager
    ("strace", "strace"),      // and whether its system calls are enough
    ("systemd-analyze", "systemd"),
    ("wrk", "wrk"),
];

/// Why what is missing cannot be installed, if so; it names the packages.
pub(crate) fn cannot_install() -> Option<String> {
    let packages: Vec<_> = missing().map(|(_, package)| *package).collect();
    if packages.is_empty() {
        None
    } else if which("apt-get").is_none() {
        Some(format!("not Debian: install what has {packages:?}"))
    } else if !super::is_root() {
        Some(format!("not root: run `sudo {}`", by_hand(&packages)))
    } else {
        None
    }
}

/// Installs what is missing.
///
/// # Errors
/// As [`cannot_install`], or apt-get failed.
pub(crate) fn install() -> Result<()> {
    for (tool, path) in TOOLS.iter().filter_map(|(tool, _)| Some((tool, find(tool)?))) {
        ui::line(format_args!("{tool}: found {}", path.display()));
    }
    if let Some(why) = cannot_install() {
        bail!("programs are missing, and this is {why}");
    }
    let missing: Vec<_> = missing().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let _no_daemons = NoDaemons::new()?;
    let apt = || {
        Cmd::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args([
            "-q",
            "-o",
            "DPkg::Lock::Timeout=120",
        ])
    };
    apt().arg("update").run().context("the package lists could not be fetched")?;
    apt()
        .args(["install", "-y", "--no-install-recommends"])
        .args(&packages)
        .run()
        .with_context(|| format!("try `{}`", by_hand(&packages)))?;
    for (tool, package) in missing {
        match find(tool) {
            Some(path) => ui::line(format_args!("{tool}: installed {}", path.display())),
            None => bail!("package {package} was installed but there is no `{tool}`"),
        }
    }
    Ok(())
}

fn missing() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    TOOLS.iter().filter(|(tool, _)| find(tool).is_none())
}

fn by_hand(packages: &[&str]) -> String {
    format!("apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Daemons are in /usr/sbin, which is not on everyone's PATH.
fn find(tool: &str) -> Option<PathBuf> {
    let sbin = Path::new("/usr/sbin").join(tool);
    which(tool).or_else(|| sbin.is_file().then_some(sbin))
}

/// Keeps package scripts from starting what they install (nginx would take port 80): Debian's
/// `policy-rc.d` says 101, "not allowed". A policy that is there already stays.
struct NoDaemons {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoDaemons {
    fn new() -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        match file {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n").context(POLICY)?;
                Ok(Self { ours: true })
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self { ours: false })
            }
            Err(error) => Err(error).context(POLICY),
        }
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
