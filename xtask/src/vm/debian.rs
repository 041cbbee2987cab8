//! Packages of several Debian releases, fetched and unpacked, never installed. apt-get checks the
//! signatures of the indexes and the hashes of the packages; it keeps to lists and a cache under the
//! target directory, and sees no package of this system's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::{Cmd, which};
use crate::ui;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// (suite, the archive that has it)
const SUITES: [(&str, &str); 4] = [
    ("bullseye-security", "http://deb.debian.org/debian-security"),
    ("bookworm-security", "http://deb.debian.org/debian-security"),
    ("trixie", "http://deb.debian.org/debian"),
    ("trixie-backports", "http://deb.debian.org/debian"),
];

/// The archives, as we see them.
pub(super) struct Debian {
    home: PathBuf,
    updated: bool,
}

/// Why packages cannot be had here, if so.
pub(super) fn cannot() -> Option<String> {
    for (program, package) in [("apt-get", "apt"), ("apt-cache", "apt"), ("dpkg", "dpkg")] {
        if which(program).is_none() {
            return Some(format!("there is no {program} (Debian's package {package})"));
        }
    }
    let why = || format!("there is no {KEYRING} (Debian's package debian-archive-keyring)");
    (!Path::new(KEYRING).is_file()).then(why)
}

impl Debian {
    /// Nothing is fetched before it is asked for.
    pub(super) fn new(home: &Path) -> Self {
        Self { home: home.to_owned(), updated: false }
    }

    fn command(&self, program: &str) -> Cmd {
        let set = |name: &str, path: PathBuf| format!("{name}={}", path.display());
        [
            set("Dir::Etc::sourcelist", self.home.join("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            set("Dir::State", self.home.join("state")),
            set("Dir::State::status", self.home.join("status")),
            set("Dir::Cache", self.home.join("cache")),
            // Not even what is installed here: what comes has to run by itself.
            "APT::Sandbox::User=root".to_owned(),
            "APT::Architecture=amd64".to_owned(),
            "Debug::NoLocking=1".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ]
        .into_iter()
        .fold(Cmd::new(program).arg("-q"), |command, option| command.args(["-o", &option]))
        .dir(self.home.join("deb"))
    }

    /// Fetches the indexes, once.
    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        for dir in ["state/lists/partial", "cache/archives/partial", "deb"] {
            let dir = self.home.join(dir);
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let entry = |(suite, archive)| {
            format!("deb [arch=amd64 signed-by={KEYRING}] {archive} {suite} main\n")
        };
        let sources: String = SUITES.into_iter().map(entry).collect();
        fs::write(self.home.join("sources.list"), sources)?;
        fs::write(self.home.join("status"), "")?;
        ui::line("Debian's indexes: fetching them");
        self.command("apt-get").arg("update").read().context("the indexes cannot be fetched")?;
        self.updated = true;
        Ok(())
    }

    /// Names of packages that begin like this, of all the suites.
    pub(super) fn names(&mut self, prefix: &str) -> Result<Vec<String>> {
        self.update()?;
        let names = self.command("apt-cache").args(["pkgnames", prefix]).read()?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Unpacks a package of a suite into `root`.
    pub(super) fn unpack(&mut self, package: &str, suite: &str, root: &Path) -> Result<()> {
        self.update()?;
        let debs = self.home.join("deb");
        clear(&debs)?;
        self.command("apt-get").args(["download", &format!("{package}/{suite}")]).read()?;
        unpack_all(&debs, root)
    }

    /// Unpacks a package of a suite and all that it needs into `root`.
    pub(super) fn unpack_whole(&mut self, package: &str, suite: &str, root: &Path) -> Result<()> {
        self.update()?;
        let archives = self.home.join("cache/archives");
        clear(&archives)?;
        self.command("apt-get")
            .args(["install", "-y", "--download-only", "--no-install-recommends", "-t", suite])
            .arg(package)
            .read()?;
        unpack_all(&archives, root)
    }
}

fn packages(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    Ok(found)
}

fn clear(dir: &Path) -> Result<()> {
    packages(dir)?.iter().try_for_each(|deb| Ok(fs::remove_file(deb)?))
}

/// Unpacks what was fetched, and removes it.
fn unpack_all(debs: &Path, root: &Path) -> Result<()> {
    let found = packages(debs)?;
    if found.is_empty() {
        bail!("apt-get left no package in {}", debs.display());
    }
    fs::create_dir_all(root)?;
    for deb in found {
        Cmd::new("dpkg").arg("-x").arg(&deb).arg(root).read()?;
        fs::remove_file(&deb)?;
    }
    Ok(())
}
