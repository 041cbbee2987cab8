use std::fs::File;
use std::os::unix::fs::symlink;

use super::super::directory::{CLOSED, Directory, fd, id};
use super::*;

fn searcher(proc: impl Into<PathBuf>, globs: &[String]) -> Searcher {
    Searcher::new(proc.into(), Arc::new(Wanted::new(globs).unwrap()))
}

fn me() -> ProcessKey {
    ProcessKey::undated(std::process::id())
}

fn question(fd: u32, file: FileId) -> Question {
    Question { fd, file, view: View::Own }
}

fn found(directory: &Directory, name: &str) -> Found {
    Found::As(directory.path(name))
}

/// A program that opens its log for each line can have another file at that descriptor by now.
#[test]
fn a_closed_file_is_found_by_its_inode() {
    let directory = Directory::new("search-closed");
    let (log, other) = (directory.file("sub/a.log"), directory.file("sub/b.log"));
    let unwanted = directory.file("sub/c.txt");
    directory.file("sub/deep/d.log");
    for globs in [vec![directory.path("sub/*.log")], vec![directory.path("**/*.log")]] {
        let mut searcher = searcher("/proc", &globs);
        let mut look = |fd, file| searcher.find(me(), &question(fd, id(file)));
        assert_eq!(look(fd(&other), &log), found(&directory, "sub/a.log"));
        assert_eq!(look(CLOSED, &other), found(&directory, "sub/b.log"));
        assert_eq!(look(CLOSED, &unwanted), Found::Unwanted);
        // Open, and matched.
        assert_eq!(look(fd(&log), &log), found(&directory, "sub/a.log"));
    }
}

#[test]
fn a_file_is_found_by_a_link() {
    let directory = Directory::new("search-link");
    let log = directory.file("sub/today");
    directory.link("current.log", directory.0.join("sub/today"));
    let mut searcher = searcher("/proc", &[directory.path("current.log")]);
    let look = searcher.find(me(), &question(fd(&log), id(&log)));
    assert_eq!(look, found(&directory, "current.log"));
}

/// A directory that stands for `/proc`, with one process, whose root is the directory `root`.
fn container(directory: &Directory) -> ProcessKey {
    directory.link("proc/7/root", directory.0.join("root"));
    ProcessKey::undated(7)
}

#[test]
fn links_of_a_container_stay_in_its_root() {
    let directory = Directory::new("search-root");
    let process = container(&directory);
    let log = directory.file("root/data/real.log");
    directory.link("root/var/log/app.log", "/data/real.log");
    directory.link("root/var/log/up.log", "../../../../../../../data/real.log");
    let look = |glob: &str, file: &File| {
        let mut searcher = searcher(directory.0.join("proc"), &[glob.to_owned()]);
        searcher.find(process, &Question { view: View::Other, ..question(CLOSED, id(file)) })
    };
    for path in ["/var/log/app.log", "/var/log/up.log", "/data/real.log"] {
        assert_eq!(look(path, &log), Found::As(path.into()));
    }
    assert_eq!(look("/var/**/up.log", &log), Found::As("/var/log/up.log".into()));

    // The same paths on the node lead to this file.
    let outside = directory.file("outside.log");
    directory.link("root/var/log/outside.log", directory.path("outside.log"));
    for glob in ["/var/log/outside.log", "/var/log/*.log", &directory.path("outside.log")] {
        assert_eq!(look(glob, &outside), Found::Unwanted, "{glob}");
    }
}

/// The process has ended, so `/proc/PID/root` does not exist.
#[test]
fn the_sensors_view_replaces_only_an_equal_one() {
    let directory = Directory::new("search-gone");
    let log = directory.file("a.log");
    let mut searcher = searcher(directory.0.join("proc"), &[directory.path("*.log")]);
    let mut look = |view, file| {
        searcher.find(ProcessKey::undated(8), &Question { view, ..question(CLOSED, file) })
    };
    let file = id(&log);
    assert_eq!(look(View::Own, file), found(&directory, "a.log"));
    assert_eq!(look(View::Other, file), Found::Unknown);
    // A device number identifies a file system only if it is not anonymous.
    let is_certain = file.device >> MINOR_BITS != 0;
    let expected = if is_certain { found(&directory, "a.log") } else { Found::Unwanted };
    assert_eq!(look(View::Unknown, file), expected);
    let elsewhere = FileId { device: file.device + 1, ..file };
    assert_eq!(look(View::Unknown, elsewhere), Found::Unwanted);
}

#[test]
fn a_search_is_bounded() {
    let directory = Directory::new("search-much");
    let mut searcher = searcher("/proc", &[directory.path("*.log")]);
    for n in 0..ENTRIES {
        directory.file(&format!("{n}.txt"));
    }
    let log = FileId { device: 1, inode: u64::MAX, generation: 0 };
    assert_eq!(searcher.find(me(), &question(CLOSED, log)), Found::Unknown);
}

#[test]
fn searches_in_a_second_are_bounded_for_each_process() {
    let directory = Directory::new("search-many");
    let mut searcher = searcher("/proc", &[directory.path("*.log")]);
    let gone = |inode| question(CLOSED, FileId { device: 1, inode, generation: 9 });
    let mut looked = |key| {
        let found = (0..100).map(|inode| searcher.find(key, &gone(inode)));
        found.filter(|found| *found == Found::Unwanted).count()
    };
    let (own, other) =
        (looked(me()), looked(ProcessKey::undated(std::os::unix::process::parent_id())));
    // The loop can take longer than a second on a busy machine.
    assert!((10..100).contains(&own) && (10..100).contains(&other), "{own}, {other}");
}

#[test]
fn places_of_a_glob() {
    let search = |fixed: &str, depth| Search { fixed: fixed.into(), depth };
    assert_eq!(Search::of("/var/log/app.log"), search("var/log/app.log", 0));
    assert_eq!(Search::of("/var/log/*/x-?.log"), search("var/log", 2));
    assert_eq!(Search::of("/srv/**/a.log"), search("srv", DEPTH));
    assert_eq!(Search::of("/{a,b}/c"), search("", 2));
}

/// Symbolic links in a circle, and a directory that contains itself.
#[test]
fn circles_end() {
    let directory = Directory::new("search-circle");
    let log = directory.file("root/a.txt");
    let process = container(&directory);
    symlink("b", directory.0.join("root/a")).unwrap();
    symlink("a", directory.0.join("root/b")).unwrap();
    symlink("/", directory.0.join("root/self")).unwrap();
    let mut searcher = searcher(directory.0.join("proc"), &["/**/*.log".to_owned()]);
    let question = Question { view: View::Other, ..question(CLOSED, id(&log)) };
    assert_eq!(searcher.find(process, &question), Found::Unwanted);
}
