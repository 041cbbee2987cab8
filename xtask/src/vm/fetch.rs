//! What the virtual machines are made of, fetched once and kept under `target/vm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::debian::Debian;
use super::kernels::{Kernel, by_number};
use crate::{time, ui, workspace};

/// QEMU and busybox are this release's. Not Debian 12's QEMU: with more than one processor, 7.2 breaks
/// the kernel's int3 patching, and attaching under traffic panics.
const SUITE: &str = "trixie";

/// Everything of ours.
pub(super) fn home() -> PathBuf {
    workspace::target().join("vm")
}

/// A kernel's image and its version.
pub(super) struct Image {
    pub(super) path: PathBuf,
    pub(super) package: String,
}

/// Where things are fetched to.
pub(super) struct Store {
    debian: Debian,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { debian: Debian::new(&home().join("apt")) }
    }

    /// The kernel's image; fetched if it is not there.
    pub(super) fn kernel(&mut self, kernel: &Kernel) -> Result<Image> {
        let dir = home().join("kernels").join(kernel.name);
        if let Some(image) = cached(&dir) {
            ui::line(format_args!("kernel {}: found {}", kernel.name, image.package));
            return Ok(image);
        }
        let names = self.debian.names(kernel.package.0)?;
        let newest = names
            .iter()
            .filter_map(|name| Some((by_number(kernel.version(name)?), name)))
            .max()
            .map(|(_, name)| name.clone());
        let Some(package) = newest else {
            let (before, after) = kernel.package;
            bail!("{} has no package {before}*{after}: see KERNELS in xtask", kernel.suite);
        };
        let start = Instant::now();
        let root = dir.join("unpacked");
        // Of an attempt that was broken off.
        let _ = fs::remove_dir_all(&dir);
        self.debian
            .unpack(&package, kernel.suite, &root)
            .with_context(|| format!("kernel {}", kernel.name))?;
        let found = vmlinuz(&root)?;
        fs::rename(found, dir.join(IMAGE))?;
        // The modules: a hundred megabytes that nothing needs.
        fs::remove_dir_all(&root)?;
        fs::write(dir.join(PACKAGE), &package)?;
        let took = time::show(start.elapsed());
        ui::line(format_args!("kernel {}: fetched {package} ({took})", kernel.name));
        Ok(Image { path: dir.join(IMAGE), package })
    }

    /// A root with QEMU and every library it needs.
    pub(super) fn qemu(&mut self) -> Result<PathBuf> {
        self.root("qemu", "qemu-system-x86", true)
    }

    /// busybox, statically linked.
    pub(super) fn busybox(&mut self) -> Result<PathBuf> {
        Ok(self.root("busybox", "busybox-static", false)?.join("usr/bin/busybox"))
    }

    /// A directory with a package unpacked in it, alone or with all that it needs.
    fn root(&mut self, name: &str, package: &str, whole: bool) -> Result<PathBuf> {
        let root = home().join(name);
        let done = root.join(PACKAGE);
        if done.is_file() {
            ui::line(format_args!("{name}: found {}", root.display()));
            return Ok(root);
        }
        let start = Instant::now();
        let _ = fs::remove_dir_all(&root);
        if whole {
            self.debian.unpack_whole(package, SUITE, &root)
        } else {
            self.debian.unpack(package, SUITE, &root)
        }
        .with_context(|| name.to_owned())?;
        fs::write(done, package)?;
        let took = time::show(start.elapsed());
        ui::line(format_args!("{name}: fetched {package} ({took})"));
        Ok(root)
    }
}

/// The kernel; and a file that is written when everything is there.
const IMAGE: &str = "vmlinuz";
const PACKAGE: &str = "package";

/// What is there of a kernel.
pub(super) fn cached(dir: &Path) -> Option<Image> {
    let package = fs::read_to_string(dir.join(PACKAGE)).ok()?;
    let path = dir.join(IMAGE);
    path.is_file().then_some(Image { path, package })
}

/// `boot/vmlinuz-RELEASE`, or `usr/lib/modules/RELEASE/vmlinuz` in newer packages.
fn vmlinuz(root: &Path) -> Result<PathBuf> {
    let mut candidates = Vec::new();
    for dir in [root.join("boot"), root.join("usr/lib/modules")] {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry?.path();
            candidates.extend([path.join(IMAGE), path]);
        }
    }
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && name.starts_with(IMAGE)
    };
    candidates.into_iter().find(is_it).with_context(|| format!("no {IMAGE} in {}", root.display()))
}
