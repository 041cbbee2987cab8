//! Containers, by the paths of their cgroups.
//!
//! Only `/proc/PID/cgroup` is trusted. The container that `/proc/PID/mountinfo` names (by its
//! `/etc/hostname`) is another one wherever the network namespace is shared: a pod's sandbox, or
//! `docker run --network container:…`.

/// What a cgroup's path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Container {
    /// `container.id`, 64 hexadecimal digits.
    pub(super) id: Option<String>,
    /// `k8s.pod.uid`.
    pub(super) pod_uid: Option<String>,
}

/// Reads `/proc/PID/cgroup` (cgroups(7): `hierarchy:controllers:path` on each line). The path's
/// shapes are those of Docker, containerd, CRI-O and Podman, with either cgroup driver, and of
/// Kubernetes; of containers within containers, the innermost.
pub(super) fn container(cgroup: &str) -> Container {
    let paths = || cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    Container {
        id: paths().find_map(|path| path.rsplit('/').find_map(container_id)),
        pod_uid: paths()
            .filter(|path| path.contains("kubepods"))
            .find_map(|path| path.rsplit('/').find_map(pod_uid)),
    }
}

/// `<id>`, `docker-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>.scope`,
/// `libpod-<id>.scope`, or `…:cri-containerd:<id>`.
fn container_id(segment: &str) -> Option<String> {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    let at = name.len().checked_sub(64)?;
    let (before, id) = name.split_at_checked(at)?;
    // A container's monitor runs beside it.
    let other = before.contains("conmon");
    let separated = before.is_empty() || before.ends_with(['-', ':']);
    let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (hex && separated && !other).then(|| id.to_owned())
}

/// `pod<uid>`, or `kubepods-…-pod<uid>.slice` with underscores for hyphens. Static pods have 32
/// hexadecimal digits without any.
fn pod_uid(segment: &str) -> Option<String> {
    // containerd without its systemd driver joins what are otherwise directories.
    let name = segment.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (before, uid) = match name.rsplit_once("-pod") {
        Some(parts) => parts,
        None => ("", name.strip_prefix("pod")?),
    };
    let uid = uid.replace('_', "-");
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths: Vec<usize> = uid.split('-').map(str::len).collect();
    let shaped = matches!(lengths.as_slice(), [8, 4, 4, 4, 12] | [32]);
    let ours = before.is_empty() || before.starts_with("kubepods");
    (ours && shaped && uid.split('-').all(hex)).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f5c8d9e0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef01234567";
    const UID: &str = "0f3d2a1b-4c5d-6e7f-8091-a2b3c4d5e6f7";
    const UID_: &str = "0f3d2a1b_4c5d_6e7f_8091_a2b3c4d5e6f7";

    fn found(cgroup: &str) -> (Option<String>, Option<String>) {
        let cgroup = cgroup.replace("{UID_}", UID_).replace("{UID}", UID).replace("{ID}", ID);
        let Container { id, pod_uid } = container(&cgroup);
        (id, pod_uid)
    }

    #[test]
    fn containers_without_pods() {
        for cgroup in [
            "12:memory:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n",
            "0::/system.slice/docker-{ID}.scope\n",
            "0::/../../system.slice/docker-{ID}.scope/init\n",
            "0::/machine.slice/libpod-{ID}.scope/container\n",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n",
            "5:devices:/default/{ID}\n",
            "3:cpu:/ecs/ea8c1f2d/{ID}\n",
            "0::/docker/0000000000000000000000000000000000000000000000000000000000000000/docker/{ID}\n",
        ] {
            assert_eq!(found(cgroup), (Some(ID.to_owned()), None), "{cgroup}");
        }
    }

    #[test]
    fn pods() {
        for cgroup in [
            "11:memory:/kubepods/besteffort/pod{UID}/{ID}\n",
            "11:memory:/kubepods/pod{UID}/{ID}\n",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope\n",
            "0::/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope\n",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/docker-{ID}.scope\n",
            "1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}\n",
            "0::/kubelet.slice/kubelet-kubepods.slice/kubepods/burstable/pod{UID}/{ID}\n",
        ] {
            assert_eq!(found(cgroup), (Some(ID.to_owned()), Some(UID.to_owned())), "{cgroup}");
        }
        let fixed = "0::/kubepods/burstable/pod5a2f9c0d1e3b4a5968778695a4b3c2d1/{ID}\n";
        assert_eq!(found(fixed).1.as_deref(), Some("5a2f9c0d1e3b4a5968778695a4b3c2d1"));
    }

    #[test]
    fn what_is_not_a_container() {
        for cgroup in [
            "",
            "0::/\n",
            "garbage",
            "0::/system.slice/nginx.service\n",
            "0::/user.slice/user-1000.slice/session-1.scope\n",
            "0::/machine.slice/libpod-conmon-{ID}.scope\n",
            "0::/crio-conmon-{ID}.scope\n",
            "0::/x{ID}\n",
            "0::/docker/3f5c8d9e0a1b\n",
            "0::/podium/pod\n",
            "0::/ä{ID}\n",
        ] {
            assert_eq!(found(cgroup), (None, None), "{cgroup}");
        }
    }
}
