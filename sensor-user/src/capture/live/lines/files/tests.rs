use super::super::directory::{CLOSED, Directory, fd, id};
use super::*;

fn files(globs: &[String]) -> Files {
    Files::new("/proc".into(), Arc::new(Wanted::new(globs).unwrap()))
}

fn me() -> ProcessKey {
    ProcessKey::undated(std::process::id())
}

fn as_path(directory: &Directory, name: &str) -> Verdict {
    Verdict::WantedAs(directory.path(name).into())
}

/// Kernels before 5.14 do not print inode numbers; every file is looked up there.
fn tells_inodes() -> bool {
    std::fs::read_to_string("/proc/self/fdinfo/0").is_ok_and(|text| text.contains("\nino:"))
}

#[test]
fn open_files_by_their_paths() {
    let directory = Directory::new("files-open");
    let (log, text) = (directory.file("a.log"), directory.file("a.txt"));
    let deep = directory.file("sub/deep/b.log");
    let mut files = files(&[directory.path("*.log")]);
    if !tells_inodes() {
        assert_eq!(files.decide(me(), fd(&log), id(&log)), Verdict::Unknown);
        return;
    }
    assert_eq!(files.decide(me(), fd(&log), id(&log)), as_path(&directory, "a.log"));
    assert_eq!(files.decide(me(), fd(&text), id(&text)), Verdict::Unwanted);
    let verdict = files.decide(me(), fd(&deep), id(&deep));
    assert_eq!(verdict, Verdict::Unwanted, "* does not cross directories");
    assert_eq!(files.decide(me(), CLOSED, id(&log)), Verdict::Wanted);
    assert_eq!(files.decide(me(), CLOSED, id(&text)), Verdict::Unwanted);
    // Another file that got the same inode.
    let later = FileId { generation: 1, ..id(&text) };
    assert_eq!(files.decide(me(), fd(&text), later), Verdict::Unwanted);
}

/// As logrotate does it: the name is gone, or another one, when it is looked at.
#[test]
fn a_file_that_was_removed_has_its_path_still() {
    let directory = Directory::new("files-removed");
    let log = directory.file("a.log");
    std::fs::remove_file(directory.0.join("a.log")).unwrap();
    let mut files = files(&[directory.path("*.log")]);
    if tells_inodes() {
        assert_eq!(files.decide(me(), fd(&log), id(&log)), as_path(&directory, "a.log"));
    }
}

/// The descriptor is closed or another file's, or a plain path can be another name of the file.
#[test]
fn other_files_are_looked_up() {
    let directory = Directory::new("files-unknown");
    let (log, other) = (directory.file("a.log"), directory.file("b.log"));
    let mut files = files(&[directory.path("*.log"), directory.path("current")]);
    assert_eq!(files.decide(me(), CLOSED, id(&log)), Verdict::Unknown);
    assert_eq!(files.decide(me(), fd(&other), id(&log)), Verdict::Unknown);
    let text = directory.file("a.txt");
    assert_eq!(files.decide(me(), fd(&text), id(&text)), Verdict::Unknown);
    // The answer of the look-up.
    assert_eq!(files.settle(id(&text), Some("/current")), Verdict::WantedAs("/current".into()));
    assert_eq!(files.decide(me(), CLOSED, id(&text)), Verdict::Wanted);
    assert_eq!(files.settle(id(&log), None), Verdict::Unwanted);
    assert_eq!(files.decide(me(), CLOSED, id(&log)), Verdict::Unwanted);
}
