//! The kernels that the sensor is held to: Debian's own, of every age that people run.

use anyhow::{Result, bail};

/// How socket calls are seen (`sensor run --engine`).
pub(super) const ENGINES: [&str; 2] = ["socket", "syscall"];

/// A kernel of Debian's.
pub(super) struct Kernel {
    /// What it is called here, and its row in the table.
    pub(super) name: &'static str,
    /// The suite that has it.
    pub(super) suite: &'static str,
    /// Its package's name around the version: what is before it, and what is after. The newest is
    /// taken. `-cloud-amd64`, because it is a third of the size, and because clouds boot it.
    pub(super) package: (&'static str, &'static str),
    /// The engines that it has; the others have to be refused, with a reason.
    pub(super) engines: &'static [&'static str],
}

/// Oldest first.
pub(super) const KERNELS: [Kernel; 5] = [
    Kernel {
        name: "5.10",
        suite: "bullseye-security",
        package: ("linux-image-5.10.0-", "-cloud-amd64"),
        engines: &["syscall"],
    },
    Kernel {
        name: "6.1",
        suite: "bookworm-security",
        package: ("linux-image-6.1.0-", "-cloud-amd64"),
        engines: &["syscall"],
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
        package: ("linux-image-6.12.", "+deb13-cloud-amd64"),
        engines: &ENGINES,
    },
    Kernel {
        name: "6.18",
        suite: "trixie-backports",
        package: ("linux-image-6.18.", "+deb13-cloud-amd64"),
        engines: &ENGINES,
    },
    Kernel {
        name: "7.x",
        suite: "trixie-backports",
        // Split in three packages by then; this one has the kernel itself.
        package: ("linux-binary-7.", "+deb13-cloud-amd64"),
        engines: &ENGINES,
    },
];

/// Those that CI boots: the oldest, and the newest on which no run of a program is ever left out, so
/// that every span has to be there. (From 7.0 on the kernel leaves out runs, which an emulated processor
/// makes frequent: there, as many may be missing as are counted.)
pub(super) const IN_CI: [&str; 2] = ["5.10", "6.18"];

impl Kernel {
    /// What is between the two ends of a package's name, if it is of this kernel: digits, dots and
    /// no more. `0.deb11.52` is another suite's.
    pub(super) fn version<'a>(&self, package: &'a str) -> Option<&'a str> {
        let (before, after) = self.package;
        let version = package.strip_prefix(before)?.strip_suffix(after)?;
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        (!version.is_empty() && version.chars().all(plain)).then_some(version)
    }

    pub(super) fn has(&self, engine: &str) -> bool {
        self.engines.contains(&engine)
    }
}

/// The kernels of these names; all of them without any.
///
/// # Errors
/// A name is not in the table; it says which are.
pub(super) fn chosen<S: AsRef<str>>(names: &[S]) -> Result<Vec<&'static Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let find = |name: &S| {
        let found = KERNELS.iter().find(|kernel| kernel.name == name.as_ref());
        let Some(kernel) = found else {
            let all: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
            bail!("no kernel {}; there are {}", name.as_ref(), all.join(", "));
        };
        Ok(kernel)
    };
    names.iter().map(find).collect()
}

/// Parts of a version as numbers, so that 6.18.15 is after 6.18.9.
pub(super) fn by_number(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_each_kernel() {
        // Names that Debian's indexes have.
        for (package, kernel, version) in [
            ("linux-image-5.10.0-46-cloud-amd64", "5.10", Some("46")),
            ("linux-image-5.10.0-46-cloud-amd64-unsigned", "5.10", None),
            ("linux-image-5.10.0-46-rt-amd64", "5.10", None),
            ("linux-image-6.1.0-56-cloud-amd64", "6.1", Some("56")),
            ("linux-image-6.1.0-0.deb11.52-cloud-amd64", "6.1", None),
            ("linux-image-6.12.107+deb13-cloud-amd64", "6.12", Some("107")),
            ("linux-image-6.12.117+deb12-cloud-amd64", "6.12", None),
            ("linux-image-6.18.15+deb13-cloud-amd64", "6.18", Some("15")),
            ("linux-binary-7.2.12+deb13-cloud-amd64", "7.x", Some("2.12")),
        ] {
            let kernel = chosen(&[kernel]).unwrap()[0];
            assert_eq!(kernel.version(package), version, "{package}");
        }
        assert!(chosen(&["4.19"]).is_err());
        assert_eq!(chosen::<&str>(&[]).unwrap().len(), KERNELS.len());
    }

    #[test]
    fn newest_is_by_number() {
        let mut versions = ["7.0.13", "7.2.9", "7.2.12", "7.1.13"];
        versions.sort_by_key(|version| by_number(version));
        assert_eq!(versions.last(), Some(&"7.2.12"));
    }
}
