use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use super::super::directory::Directory;
use super::*;

const PROCESS: Tgid = Tgid(7);

/// A directory that stands for `/proc`: the node's root is `node`, and that of a process is `root` in it. The
/// process runs `executable` there.
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

    /// Whether files that are made here are root's; only then can anything be a copier.
    fn is_root(&self) -> bool {
        fs::metadata(self.executable()).unwrap().uid() == 0
    }
}

#[test]
fn agents_and_runtimes_by_the_names_of_their_executables() {
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
fn on_the_node_it_has_to_be_roots_alone() {
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
fn another_name_is_none() {
    assert!(Node::new("name", "node", "app").check().is_err());
}

/// Whoever builds an image is root in it.
#[test]
fn in_a_container_it_has_to_see_the_nodes_logs() {
    let node = Node::new("container", "container", "fluent-bit");
    assert!(node.check().is_err());
    // Directories of the same names are no proof, nor links that would lead there on the node.
    fs::create_dir_all(node.0.0.join("container/var/log/pods")).unwrap();
    assert!(node.check().is_err());
    fs::remove_dir(node.0.0.join("container/var/log/pods")).unwrap();
    node.0.link("container/var/log/pods", node.0.0.join("node/var/log/pods"));
    assert!(node.check().is_err());
}

#[test]
fn a_process_that_is_gone_is_none() {
    let directory = Directory::new("copiers-gone");
    assert!(check(&directory.0, PROCESS).is_err());
}
