use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

fn selection(pids: &[u32], comm: &[&str], exe: &[&str]) -> Result<Selection, Vec<SelectionError>> {
    let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
    Selection::new(pids.iter().copied(), &owned(comm), &owned(exe))
}

fn matches(selection: &Selection, tgid: u32, comm: &str, exe: Option<&str>) -> bool {
    selection.matches(&ProcessFacts { tgid: Tgid(tgid), comm, exe })
}

#[test]
fn by_id_by_name_and_by_executable() {
    let by =
        selection(&[7], &["nginx", "java*"], &["/usr/bin/py*", "node", "/opt/**/app"]).unwrap();
    assert!(matches(&by, 7, "x", None));
    assert!(matches(&by, 1, "nginx", None));
    assert!(matches(&by, 1, "java-worker", None));
    assert!(matches(&by, 1, "x", Some("/usr/bin/python3")));
    assert!(matches(&by, 1, "x", Some("/usr/bin/python3 (deleted)")));
    assert!(matches(&by, 1, "x", Some("/home/me/bin/node")));
    assert!(matches(&by, 1, "x", Some("/opt/shop/v1/app")));

    assert!(!matches(&by, 1, "nginx2", None));
    assert!(!matches(&by, 1, "x", Some("/usr/bin/py/other")));
    assert!(!matches(&by, 1, "x", Some("/usr/bin/nodejs")));
}

#[test]
fn an_empty_selection_selects_all() {
    let all = selection(&[], &[], &[]).unwrap();
    assert!(all.is_empty());
    assert!(matches(&all, 1, "x", None));
    assert!(!selection(&[1], &[], &[]).unwrap().is_empty());
}

#[test]
fn all_errors_are_told() {
    let errors = selection(&[], &["[", "a-name-that-is-too-long"], &["{a", "ok"]).unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(text.iter().any(|text| text.contains("--comm 'a-name-that-is-*' or --exe")));
    assert!(text.iter().any(|text| text.starts_with("--comm [: ")));
    assert!(text.iter().any(|text| text.starts_with("--exe {a: ")));
}

/// A `/proc` of our own, removed with it.
struct Proc(PathBuf);

impl Proc {
    fn new(processes: &[(u32, u32, &str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("sensor-selection-{}", std::process::id()));
        fs::create_dir_all(root.join("sys")).unwrap();
        for (pid, parent, comm, exe) in processes {
            let directory = root.join(pid.to_string());
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("stat"), format!("{pid} ({comm}) S {parent} 0")).unwrap();
            fs::write(directory.join("comm"), format!("{comm}\n")).unwrap();
            symlink(exe, directory.join("exe")).unwrap();
        }
        Self(root)
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn descendants_are_selected_with_their_ancestor() {
    let root = Proc::new(&[
        (1, 0, "init", "/sbin/init"),
        (10, 1, "gunicorn", "/usr/bin/python3"),
        (11, 10, "worker", "/usr/bin/python3"),
        (12, 11, "curl", "/usr/bin/curl"),
        (20, 1, "nginx", "/usr/sbin/nginx"),
        // A loop, as pids that are used again while the list is read could show.
        (30, 31, "a", "/a"),
        (31, 30, "b", "/b"),
    ]);
    let verdicts = |by: &Selection| {
        let all = initial_selection(&root.0, by).unwrap();
        all.into_iter().map(|(it, selected)| (it.tgid.0, selected)).collect::<Vec<_>>()
    };
    assert_eq!(
        verdicts(&selection(&[], &["gunicorn"], &[]).unwrap()),
        [(1, false), (10, true), (11, true), (12, true), (20, false), (30, false), (31, false)]
    );
    assert!(verdicts(&Selection::default()).iter().all(|&(_, selected)| selected));
    assert!(initial_selection(&root.0.join("none"), &Selection::default()).is_err());
}

#[test]
fn this_process_and_its_child_are_found_in_the_real_proc() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let by = selection(&[std::process::id()], &[], &[]).unwrap();
    let all = initial_selection(Path::new("/proc"), &by);
    let (id, _) = (child.id(), (child.kill().unwrap(), child.wait().unwrap()));
    let all = all.unwrap();
    let is_selected =
        |pid| all.iter().find(|(it, _)| it.tgid == Tgid(pid)).map(|&(_, selected)| selected);
    assert_eq!(is_selected(std::process::id()), Some(true));
    assert_eq!(is_selected(id), Some(true));
    assert_eq!(is_selected(1), Some(false));
}
