use std::fs::File;
use std::os::unix::fs::symlink;

use super::super::directory::{CLOSED, Directory, fd, id};
use super::*;

fn searcher(proc: impl Into<PathBuf>, globs: &[String]) -> Searcher {
    Searcher::new(proc.into(), Arc::new(Wanted::new(globs).unwrap()))
}

fn me() -> Tgid {
    Tgid(std::process::id())
}

fn question(fd: u32, file: FileId) -> Question {
    Question { fd, file, view: View::Own }
}

fn found(directory: &Directory, name: &str) -> Found {
    Found::As(directory.path(name))
}

/// Who opens a file for each line has closed it by then, and may have another one open there.
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
        // It is open, and asked for.
        assert_eq!(look(fd(&log), &log), found(&directory, "sub/a.log"));
    }
}

#[test]
fn a_link_is_as_good_as_what_it_leads_to() {
    let directory = Directory::new("search-link");
    let log = directory.file("sub/today");
    directory.link("current.log", directory.0.join("sub/today"));
    let mut searcher = searcher("/proc", &[directory.path("current.log")]);
    let look = searcher.find(me(), &question(fd(&log), id(&log)));
    assert_eq!(look, found(&directory, "current.log"));
}

/// A directory that stands for `/proc`, with one process, whose root is the directory `root`.
fn container(directory: &Directory) -> Tgid {
    directory.link("proc/7/root", directory.0.join("root"));
    Tgid(7)
}

#[test]
fn the_links_of_a_container_stay_within_it() {
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

    // What would be found by the same paths on the node is not looked at.
    let outside = directory.file("outside.log");
    directory.link("root/var/log/outside.log", directory.path("outside.log"));
    for glob in ["/var/log/outside.log", "/var/log/*.log", &directory.path("outside.log")] {
        assert_eq!(look(glob, &outside), Found::Unwanted, "{glob}");
    }
}

/// The process is gone, and its root with it.
#[test]
fn our_own_view_counts_only_where_it_was_the_process_s_own() {
    let directory = Directory::new("search-gone");
    let log = directory.file("a.log");
    let mut searcher = searcher(directory.0.join("proc"), &[directory.path("*.log")]);
    let mut look =
        |view, file| searcher.find(Tgid(8), &Question { view, ..question(CLOSED, file) });
    let file = id(&log);
    assert_eq!(look(View::Own, file), found(&directory, "a.log"));
    assert_eq!(look(View::Other, file), Found::Unknown);
    // A device of its own tells that it is the same file; an anonymous one may be another than it says.
    let is_certain = file.device >> MINOR_BITS != 0;
    let expected = if is_certain { found(&directory, "a.log") } else { Found::Unwanted };
    assert_eq!(look(View::Unknown, file), expected);
    let elsewhere = FileId { device: file.device + 1, ..file };
    assert_eq!(look(View::Unknown, elsewhere), Found::Unwanted);
}

#[test]
fn a_search_ends_where_there_is_too_much() {
    let directory = Directory::new("search-much");
    let mut searcher = searcher("/proc", &[directory.path("*.log")]);
    for n in 0..ENTRIES {
        directory.file(&format!("{n}.txt"));
    }
    let log = FileId { device: 1, inode: u64::MAX, generation: 0 };
    assert_eq!(searcher.find(me(), &question(CLOSED, log)), Found::Unknown);
}

#[test]
fn only_so_many_are_looked_for_in_a_second_and_fewer_for_one() {
    let directory = Directory::new("search-many");
    let mut searcher = searcher("/proc", &[directory.path("*.log")]);
    let gone = |inode| question(CLOSED, FileId { device: 1, inode, generation: 9 });
    let mut looked = |tgid| {
        let found = (0..100).map(|inode| searcher.find(tgid, &gone(inode)));
        found.filter(|found| *found == Found::Unwanted).count()
    };
    let (own, other) = (looked(me()), looked(Tgid(std::os::unix::process::parent_id())));
    // It may take longer than a second on a busy machine.
    assert!((10..100).contains(&own) && (10..100).contains(&other), "{own}, {other}");
}

#[test]
fn where_the_files_of_a_glob_can_be() {
    let search = |fixed: &str, depth| Search { fixed: fixed.into(), depth };
    assert_eq!(Search::of("/var/log/app.log"), search("var/log/app.log", 0));
    assert_eq!(Search::of("/var/log/*/x-?.log"), search("var/log", 2));
    assert_eq!(Search::of("/srv/**/a.log"), search("srv", DEPTH));
    assert_eq!(Search::of("/{a,b}/c"), search("", 2));
}

/// Links that lead to one another, and a tree that contains itself.
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
