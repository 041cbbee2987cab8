use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A directory of a test's own, gone with this.
struct Directory(PathBuf);

impl Directory {
    fn new(mode: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sensor-private-file-{}-{unique}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn refused(path: &Path, existing: Existing) -> PrivateFileError {
    PrivateFile::create(path, existing).unwrap_err()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_file_belongs_to_its_user_alone() {
    let directory = Directory::new(0o755);
    let path = directory.file("new");
    for existing in [Existing::Refuse, Existing::Replace] {
        let mut file = PrivateFile::create(&path, existing).unwrap();
        assert_eq!(mode(&path), 0o600);
        file.write_all(b"captured").unwrap();
        assert_eq!(file.partial(), None);
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"captured");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_file_that_is_there_stays_and_force_is_named() {
    let directory = Directory::new(0o755);
    let path = directory.file("old");
    std::fs::write(&path, "old").unwrap();
    let error = refused(&path, Existing::Refuse);
    assert!(matches!(error, PrivateFileError::Exists(_)), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn the_old_file_is_there_until_the_new_one_is_complete() {
    let directory = Directory::new(0o755);
    let path = directory.file("old");
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mut file = PrivateFile::create(&path, Existing::Replace).unwrap();
    file.write_all(b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(file.partial(), Some(directory.file("old.partial")));
    file.commit().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(directory.names(), ["old"]);
}

#[test]
fn what_is_not_kept_is_removed_and_what_is_kept_is_not_overwritten() {
    let directory = Directory::new(0o755);
    let path = directory.file("old");
    std::fs::write(&path, "old").unwrap();
    drop(PrivateFile::create(&path, Existing::Replace).unwrap());
    assert_eq!(directory.names(), ["old"]);

    let mut file = PrivateFile::create(&path, Existing::Replace).unwrap();
    file.keep();
    file.write_all(b"broken off").unwrap();
    drop(file);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    let error = refused(&path, Existing::Replace);
    assert!(matches!(error, PrivateFileError::Partial(_)), "{error}");
    assert_eq!(std::fs::read(directory.file("old.partial")).unwrap(), b"broken off");
}

#[test]
fn links_are_not_followed() {
    let directory = Directory::new(0o755);
    let target = directory.file("target");
    std::fs::write(&target, "precious").unwrap();
    let to_nothing = directory.file("nothing");
    for (link, to) in [("link", &target), ("dangling", &to_nothing)] {
        symlink(to, directory.file(link)).unwrap();
        for existing in [Existing::Refuse, Existing::Replace] {
            let error = refused(&directory.file(link), existing);
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
    }
    // Nor where the new file is written first.
    std::fs::write(directory.file("old"), "old").unwrap();
    symlink(&target, directory.file("old.partial")).unwrap();
    let error = refused(&directory.file("old"), Existing::Replace);
    assert!(matches!(error, PrivateFileError::Partial(_)), "{error}");
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert!(!to_nothing.exists());
}

#[test]
fn what_is_no_file_is_never_replaced() {
    let directory = Directory::new(0o755);
    std::fs::create_dir(directory.file("directory")).unwrap();
    for path in [&directory.file("directory"), Path::new("/dev/null"), Path::new("/tmp")] {
        for existing in [Existing::Refuse, Existing::Replace] {
            let error = refused(path, existing);
            assert!(matches!(error, PrivateFileError::NotAFile { .. }), "{error}");
        }
    }
}

#[test]
fn directories_that_others_may_write_to_are_refused_unless_sticky() {
    for (mode, safe) in [
        (0o700, true),
        (0o755, true),
        (0o775, false),
        (0o757, false),
        (0o777, false),
        (0o1777, true),
        (0o1770, true),
    ] {
        let directory = Directory::new(mode);
        let created = PrivateFile::create(&directory.file("new"), Existing::Refuse);
        match created {
            Ok(_) => assert!(safe, "{mode:o}"),
            Err(PrivateFileError::DirectoryMode { mode: named, .. }) => {
                assert_eq!((safe, named), (false, mode));
            }
            Err(error) => unreachable!("{mode:o}: {error}"),
        }
    }
}

/// Only root can give a directory away.
#[test]
fn directories_and_files_of_other_users_are_refused() {
    if !geteuid().is_root() {
        return;
    }
    let other = Some(65_534);
    let directory = Directory::new(0o755);
    std::os::unix::fs::chown(&directory.0, other, None).unwrap();
    let error = refused(&directory.file("new"), Existing::Refuse);
    assert!(
        matches!(error, PrivateFileError::DirectoryOwner { owner: 65_534, user: 0, .. }),
        "{error}"
    );
    let sticky = Directory::new(0o1777);
    std::fs::write(sticky.file("theirs"), "theirs").unwrap();
    std::os::unix::fs::chown(sticky.file("theirs"), other, None).unwrap();
    let error = refused(&sticky.file("theirs"), Existing::Replace);
    assert!(matches!(error, PrivateFileError::NotOurs { owner: 65_534, .. }), "{error}");
}

#[test]
fn paths_without_a_directory_or_a_name() {
    let error = refused(Path::new("/nonexistent/x"), Existing::Refuse);
    assert!(error.to_string().contains("/nonexistent/x"), "{error}");
    let error = refused(Path::new("/"), Existing::Refuse);
    assert!(error.to_string().contains("cannot create /"), "{error}");
    // A name alone is in the working directory, which is the package's.
    let error = refused(Path::new("Cargo.toml"), Existing::Refuse);
    assert!(matches!(error, PrivateFileError::Exists(_) | PrivateFileError::DirectoryMode { .. }));
}

#[test]
fn what_others_may_read_is_told_from_what_they_may_not() {
    let directory = Directory::new(0o755);
    let path = directory.file("output");
    let file = File::create(&path).unwrap();
    for (mode, readable) in [(0o600, false), (0o644, true), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(readable_by_others(&file), readable.then_some(mode));
    }
    assert_eq!(readable_by_others(File::open("/dev/null").unwrap()), None);
}
