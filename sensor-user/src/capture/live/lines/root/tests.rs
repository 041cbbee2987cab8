use std::os::unix::fs::MetadataExt as _;

use super::super::directory::{Directory, id};
use super::*;

fn place(directory: &Directory, name: &str) -> Place {
    let id = id(&std::fs::File::open(directory.0.join(name)).unwrap());
    (id.device, id.inode)
}

#[test]
fn paths_begin_and_end_within_the_root() {
    let directory = Directory::new("root-within");
    directory.file("root/data/file");
    directory.file("data/file");
    directory.link("root/absolute", "/data/file");
    directory.link("root/up", "../../../data/file");
    directory.link("root/outside", directory.path("data/file"));
    let root = Root::at(&directory.0.join("root")).unwrap();
    let within = place(&directory, "root/data/file");
    for path in ["data/file", "/data/file", "absolute", "up", "../data/file"] {
        assert_eq!(root.look(Path::new(path)).unwrap().place, within, "{path}");
    }
    let outside = root.look(Path::new("outside")).unwrap_err();
    assert_eq!(outside.kind(), io::ErrorKind::NotFound);
    assert_eq!(root.look(Path::new("")).unwrap().place, place(&directory, "root"));
    assert_eq!(root.facts().unwrap().place, place(&directory, "root"));
}

#[test]
fn magic_links_are_refused() {
    let root = Root::at(Path::new("/")).unwrap();
    for path in ["proc/self/root", "proc/self/cwd", "proc/self/exe", "proc/self/fd/0"] {
        let error = root.look(Path::new(path)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{path}");
    }
}

#[test]
fn attributes_of_files() {
    let directory = Directory::new("root-facts");
    let file = directory.file("file");
    let metadata = file.metadata().unwrap();
    let root = Root::at(&directory.0).unwrap();
    let facts = root.look(Path::new("file")).unwrap();
    assert_eq!((facts.kind, facts.owner), (FileType::RegularFile, metadata.uid()));
    assert_eq!(facts.mode.bits(), metadata.mode() & 0o7777);
    assert_eq!(facts.place, (id(&file).device, id(&file).inode));
    let open = root.directory(Path::new(""), false).unwrap();
    assert_eq!(entry(&open, Path::new("file")).unwrap().place, facts.place);
    directory.link("link", "file");
    assert_eq!(entry(&open, Path::new("link")).unwrap().kind, FileType::Symlink);
}
