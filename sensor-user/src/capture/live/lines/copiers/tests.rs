use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use super::super::directory::Directory;
use super::*;

const PROCESS: ProcessKey = ProcessKey::undated(7);

/// A directory in place of `/proc`. The node's root is the directory `node`; the process has the
/// directory `root` as its root, and runs `bin/executable` there.
struct Node(Directory);

impl Node {
    fn new(name: &str, root: &str, executable: &str) -> Self {
        let directory = Directory::new(&format!("copiers-{name}"));
        fs::create_dir_all(directory.0.join("node/var/log/pods")).unwrap();
        fs::create_dir_all(directory.0.join(root).join("bin")).unwrap();
        directory.link("proc/1/root", directory.0.join("node"));
        directory.link("proc/7/root", directory.0.join(root));
        directory.link("proc/7/exe", directory.0.join(root).join("bin").join(executable));
        let node = Self(directory);
        node.0.file(&format!("{root}/bin/{executable}"));
        node.mode(0o755);
        node
    }

    fn executable(&self) -> PathBuf {
        self.0.0.join("proc/7/exe").canonicalize().unwrap()
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(self.executable(), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn check(&self) -> Result<PathBuf, &'static str> {
        check(&self.0.0.join("proc"), PROCESS)
    }

    /// Whether the test runs as root: only then is the executable root's.
    fn is_root(&self) -> bool {
        fs::metadata(self.executable()).unwrap().uid() == 0
    }
}

#[test]
fn names_of_executables() {
    for name in
        ["containerd-shim-runc-v2", "containerd", "conmon", "otelcol-contrib", "vector", "filebeat"]
    {
        assert!(is_name(name), "{name}");
    }
    for name in ["nginx", "java", "vectorise", "my-containerd", "tee", ""] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn on_the_node_its_file_must_be_roots() {
    let node = Node::new("owner", "node", "containerd");
    if !node.is_root() {
        assert!(node.check().is_err());
        return;
    }
    assert_eq!(node.check(), Ok(node.executable()));
    for (mode, is_one) in [(0o775, false), (0o757, false), (0o777, false), (0o4755, true)] {
        node.mode(mode);
        assert_eq!(node.check().is_ok(), is_one, "{mode:o}");
    }
    // `cp /bin/app ./containerd`
    node.mode(0o755);
    chown(node.executable(), Some(65534), None).unwrap();
    assert!(node.check().is_err());
}

#[test]
fn another_name_is_no_copiers() {
    assert!(Node::new("name", "node", "app").check().is_err());
}

/// The author of an image can own its files as root.
#[test]
fn a_container_must_see_the_nodes_logs() {
    let node = Node::new("container", "container", "fluent-bit");
    assert!(node.check().is_err());
    // Directories of the same names are not enough, nor a link that leads to the node's from
    // outside.
    fs::create_dir_all(node.0.0.join("container/var/log/pods")).unwrap();
    assert!(node.check().is_err());
    fs::remove_dir(node.0.0.join("container/var/log/pods")).unwrap();
    node.0.link("container/var/log/pods", node.0.0.join("node/var/log/pods"));
    assert!(node.check().is_err());
}

#[test]
fn a_process_that_has_ended_is_no_copier() {
    let directory = Directory::new("copiers-gone");
    assert!(check(&directory.0, PROCESS).is_err());
}
