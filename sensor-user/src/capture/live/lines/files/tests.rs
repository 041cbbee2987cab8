use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;

use super::*;

/// A directory of this test's own, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sensor-files-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("sub/deep")).unwrap();
        Self(path.canonicalize().unwrap())
    }

    /// A new file, open.
    fn file(&self, name: &str) -> File {
        File::create(self.0.join(name)).unwrap()
    }

    fn glob(&self, tail: &str) -> String {
        format!("{}/{tail}", self.0.display())
    }

    fn path(&self, name: &str) -> Option<Arc<str>> {
        Some(self.0.join(name).to_str().unwrap().into())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(globs: &[String]) -> Files {
    Files::new("/proc".into(), globs).unwrap()
}

fn id(file: &File) -> FileId {
    let metadata = file.metadata().unwrap();
    FileId { device: device(metadata.dev()), inode: metadata.ino(), generation: 0 }
}

/// The path that it is wanted as, if it is.
fn decided(files: &mut Files, fd: u32, file: FileId) -> Option<Arc<str>> {
    match files.decide(Tgid(std::process::id()), fd, file) {
        Verdict::WantedAs(path) => Some(path),
        Verdict::Unwanted => None,
        other => panic!("{other:?}"),
    }
}

fn fd(file: &File) -> u32 {
    file.as_raw_fd().cast_unsigned()
}

/// A descriptor that is not open.
const CLOSED: u32 = 1_000_000;

#[test]
fn open_files_by_their_paths() {
    let directory = Directory::new("open");
    let (log, text) = (directory.file("a.log"), directory.file("a.txt"));
    let deep = directory.file("sub/deep/b.log");
    let mut files = files(&[directory.glob("*.log")]);
    assert_eq!(decided(&mut files, fd(&log), id(&log)), directory.path("a.log"));
    assert_eq!(decided(&mut files, fd(&text), id(&text)), None);
    assert_eq!(decided(&mut files, fd(&deep), id(&deep)), None, "* does not cross directories");
    let me = Tgid(std::process::id());
    assert_eq!(files.decide(me, CLOSED, id(&log)), Verdict::Wanted);
    assert_eq!(files.decide(me, CLOSED, id(&text)), Verdict::Unwanted);
    // Another file that got the same inode.
    let later = FileId { generation: 1, ..id(&text) };
    assert_eq!(files.decide(me, fd(&text), later), Verdict::Unwanted);
}

/// As logrotate does it: the name is gone, or another one, when it is looked at.
#[test]
fn a_file_that_was_removed_has_its_path_still() {
    let directory = Directory::new("removed");
    let log = directory.file("a.log");
    fs::remove_file(directory.0.join("a.log")).unwrap();
    let mut files = files(&[directory.glob("*.log")]);
    assert_eq!(decided(&mut files, fd(&log), id(&log)), directory.path("a.log"));
}

/// Who opens a file for each line has closed it by then, and may have another one open there.
#[test]
fn a_closed_file_is_found_by_its_inode() {
    let directory = Directory::new("closed");
    let (log, other) = (directory.file("sub/a.log"), directory.file("sub/b.log"));
    let unwanted = directory.file("sub/c.txt");
    for globs in [vec![directory.glob("sub/*.log")], vec![directory.glob("**/*.log")]] {
        let mut files = files(&globs);
        assert_eq!(decided(&mut files, fd(&other), id(&log)), directory.path("sub/a.log"));
        assert_eq!(decided(&mut files, CLOSED, id(&other)), directory.path("sub/b.log"));
        assert_eq!(decided(&mut files, CLOSED, id(&unwanted)), None);
    }
}

#[test]
fn a_link_is_as_good_as_what_it_leads_to() {
    let directory = Directory::new("link");
    let log = directory.file("sub/today");
    symlink(directory.0.join("sub/today"), directory.0.join("current.log")).unwrap();
    let mut files = files(&[directory.glob("current.log")]);
    assert_eq!(decided(&mut files, fd(&log), id(&log)), directory.path("current.log"));
}

#[test]
fn only_so_many_are_looked_for_in_a_second() {
    let directory = Directory::new("many");
    let mut files = files(&[directory.glob("*.log")]);
    let gone = |inode| FileId { device: 1, inode, generation: 9 };
    let me = Tgid(std::process::id());
    let unknown =
        (0..100).filter(|&inode| files.decide(me, CLOSED, gone(inode)) == Verdict::Unknown).count();
    // It may take longer than a second on a busy machine.
    assert!(unknown > 0 && unknown <= 80, "{unknown}");
}

#[test]
fn where_the_files_of_a_glob_can_be() {
    let search = |fixed: &str, depth| Search { fixed: fixed.into(), depth };
    assert_eq!(Search::of("/var/log/app.log"), search("var/log/app.log", 0));
    assert_eq!(Search::of("/var/log/*/x-?.log"), search("var/log", 2));
    assert_eq!(Search::of("/srv/**/a.log"), search("srv", DEPTH));
    assert_eq!(Search::of("/{a,b}/c"), search("", 2));
}

#[test]
fn what_is_no_glob_is_refused() {
    let error = Files::new("/proc".into(), &["/a[".into()]).err().expect("refused").to_string();
    assert!(error.contains("--log-file") && error.contains("/a["), "{error}");
}
