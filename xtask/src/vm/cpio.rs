//! An initramfs: files at their places, as a cpio archive of the kind `newc`
//! (Documentation/driver-api/early-userspace/buffer-format.rst). Not compressed: QEMU puts it into
//! memory faster than an emulated processor could unpack it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// What is to be in it, by its place.
#[derive(Default)]
pub(super) struct Tree {
    entries: BTreeMap<PathBuf, Entry>,
}

enum Entry {
    Directory,
    /// This file, as it is.
    File(PathBuf),
    Text(Vec<u8>),
    Link(PathBuf),
    /// A character device.
    Device {
        major: u32,
        minor: u32,
    },
}

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const DEVICE: u32 = 0o020_600;

impl Tree {
    /// A file of this machine at `place`, what it links to if it is a link.
    pub(super) fn file(&mut self, place: impl AsRef<Path>, source: impl Into<PathBuf>) {
        self.put(place.as_ref(), Entry::File(source.into()));
    }

    /// The same, at the place it has here.
    pub(super) fn same(&mut self, file: impl AsRef<Path>) {
        self.file(file.as_ref(), file.as_ref());
    }

    pub(super) fn text(&mut self, place: impl AsRef<Path>, text: impl Into<Vec<u8>>) {
        self.put(place.as_ref(), Entry::Text(text.into()));
    }

    pub(super) fn link(&mut self, place: impl AsRef<Path>, target: impl Into<PathBuf>) {
        self.put(place.as_ref(), Entry::Link(target.into()));
    }

    pub(super) fn directory(&mut self, place: impl AsRef<Path>) {
        self.put(place.as_ref(), Entry::Directory);
    }

    pub(super) fn device(&mut self, place: impl AsRef<Path>, major: u32, minor: u32) {
        self.put(place.as_ref(), Entry::Device { major, minor });
    }

    pub(super) fn has(&self, place: impl AsRef<Path>) -> bool {
        self.entries.contains_key(&inside(place.as_ref()))
    }

    /// Puts it there, and the directories above it.
    fn put(&mut self, place: &Path, entry: Entry) {
        let place = inside(place);
        for above in place.ancestors().skip(1) {
            // The kernel makes none of them, nor the root.
            self.entries.entry(above.to_owned()).or_insert(Entry::Directory);
        }
        self.entries.insert(place, entry);
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// A file cannot be read, or the archive not be written.
    pub(super) fn write(&self, mut out: impl Write) -> Result<()> {
        for (number, (place, entry)) in (1..).zip(&self.entries) {
            let mut head = Head { number, mode: DIRECTORY, ..Head::default() };
            let mut data = Vec::new();
            match entry {
                Entry::Directory => {}
                Entry::File(source) => {
                    let metadata =
                        source.metadata().with_context(|| source.display().to_string())?;
                    head.mode = 0o100_000 | metadata.mode() & 0o777;
                    // Python takes a compiled file only beside a source of its time.
                    head.mtime = u32::try_from(metadata.mtime()).unwrap_or(0);
                    data = fs::read(source).with_context(|| source.display().to_string())?;
                }
                Entry::Text(text) => {
                    head.mode = PROGRAM;
                    data.clone_from(text);
                }
                Entry::Link(target) => {
                    head.mode = LINK;
                    data = target.as_os_str().as_encoded_bytes().to_owned();
                }
                Entry::Device { major, minor } => {
                    head.mode = DEVICE;
                    head.device = (*major, *minor);
                }
            }
            let name = if place.as_os_str().is_empty() { Path::new(".") } else { place };
            head.write(name.as_os_str().as_encoded_bytes(), &data, &mut out)?;
        }
        Head::default().write(b"TRAILER!!!", &[], &mut out)
    }
}

/// Where a path is below the root.
fn inside(path: &Path) -> PathBuf {
    let normal = path.components().filter(|part| matches!(part, Component::Normal(_)));
    normal.collect()
}

#[derive(Default)]
struct Head {
    number: u32,
    mode: u32,
    mtime: u32,
    device: (u32, u32),
}

impl Head {
    fn write(&self, name: &[u8], data: &[u8], mut out: impl Write) -> Result<()> {
        let size = u32::try_from(data.len())?;
        let name_size = u32::try_from(name.len() + 1)?;
        ensure!(!name.contains(&0), "a name with a zero byte");
        let Self { number, mode, mtime, device: (major, minor) } = *self;
        // inode, mode, uid, gid, links, mtime, size, device of the file (2), device (2), length of
        // the name with its zero, checksum (unused)
        let fields = [number, mode, 0, 0, 1, mtime, size, 0, 0, major, minor, name_size, 0];
        let mut head = b"070701".to_vec();
        for field in fields {
            head.extend(format!("{field:08x}").bytes());
        }
        head.extend(name);
        head.push(0);
        pad(&mut head);
        out.write_all(&head)?;
        out.write_all(data)?;
        out.write_all(&[0; 3][..data.len().next_multiple_of(4) - data.len()])?;
        Ok(())
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (name, mode, data) as the kernel reads them (init/initramfs.c).
    fn read(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            let number = |at: usize| {
                let text = std::str::from_utf8(&archive[6 + 8 * at..14 + 8 * at]).unwrap();
                u32::from_str_radix(text, 16).unwrap() as usize
            };
            assert_eq!(&archive[..6], b"070701");
            let (mode, size, name_size) = (number(1), number(6), number(11));
            let name = String::from_utf8(archive[110..110 + name_size - 1].to_vec()).unwrap();
            assert_eq!(archive[110 + name_size - 1], 0);
            let data = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(archive.len(), data);
                return found;
            }
            found.push((name, u32::try_from(mode).unwrap(), archive[data..data + size].to_vec()));
            archive = &archive[(data + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut tree = Tree::default();
        tree.text("/a/b/file", "hello");
        tree.link("a/link", "b/file");
        tree.device("/dev/console", 5, 1);
        let mut archive = Vec::new();
        tree.write(&mut archive).unwrap();
        let found = read(&archive);
        let names: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, [".", "a", "a/b", "a/b/file", "a/link", "dev", "dev/console"]);
        assert_eq!(found[0].1, 0o040_755, "the kernel takes the root's mode from here");
        assert_eq!(found[3], ("a/b/file".to_owned(), 0o100_755, b"hello".to_vec()));
        assert_eq!(found[4], ("a/link".to_owned(), 0o120_777, b"b/file".to_vec()));
        assert_eq!(found[6].1, 0o020_600);
        assert!(tree.has("/a/link") && !tree.has("/b"));
    }
}
