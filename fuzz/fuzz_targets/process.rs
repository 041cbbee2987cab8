//! What a process can have the sensor read of it in `/proc`: its name, arguments, environment and
//! executable are its own to choose, and so is what its cgroup is called, for whoever may make one.
//! Whatever they are, who it is has no key twice, nothing empty or unbounded, and identifiers of
//! containers and pods of the right shape.
//!
//! Parts are between bytes 0xff: `stat`, `comm`, executable, arguments, environment, cgroup. The
//! first byte has what was cut, and how far the process is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::model::Value;
use sensor::process::{self, ATTRIBUTES_COUNT_MAX, ATTRIBUTES_MAX, Facts, Host, TEXT_MAX, Trust};

/// Attributes that are not declared.
const OBSERVED_MAX: usize = 32;

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

/// 8-4-4-4-12, or 32.
fn is_pod_uid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    hex && (lengths == [8, 4, 4, 4, 12] || lengths == [32])
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, input)) = input.split_first() else { return };
    let mut parts = input.split(|&byte| byte == 0xff);
    let [stat, comm, exe, args, env, cgroup] = [(); 6].map(|()| parts.next().unwrap_or_default());
    // The fields after the name, which is between the first and the last parenthesis
    // (proc_pid_stat(5)).
    let parent = process::stat(stat).map(|stat| stat.parent);
    if let Some(parent) = parent {
        let text = String::from_utf8_lossy(stat);
        let fields = text.rsplit_once(')').expect("a name").1;
        assert!(fields.split_ascii_whitespace().any(|it| it.parse() == Ok(parent)));
    }
    // As much as is read of `/proc/PID/comm`.
    let comm = comm.get(..64).unwrap_or(comm);
    let exe = std::str::from_utf8(exe).ok();
    let cgroup = String::from_utf8_lossy(cgroup);
    let facts = Facts {
        pid: 7,
        parent,
        comm,
        exe: exe.filter(|exe| !exe.is_empty()),
        args,
        args_cut: flags & 1 != 0,
        env,
        env_cut: flags & 2 != 0,
        cgroup: &cgroup,
    };
    let trust = match flags >> 2 & 3 {
        0 => Trust::Off,
        1 => Trust::All,
        _ => Trust::Service,
    };
    let identity = process::resource(&facts, &Host::default(), trust);
    let declares = holds(env, "OTEL_RESOURCE_ATTRIBUTES=") || holds(env, "OTEL_SERVICE_NAME=");
    assert!(declares || !identity.malformed);

    let attributes = &identity.resource.attributes;
    assert!(attributes.len() <= ATTRIBUTES_COUNT_MAX + OBSERVED_MAX);
    let mut bytes = 0;
    for (at, attribute) in attributes.iter().enumerate() {
        let key = &attribute.key;
        assert!(attributes[..at].iter().all(|before| before.key != *key), "{key} twice");
        assert!(!key.is_empty() && !key.chars().any(char::is_control), "{key:?}");
        bytes += key.len();
        let Value::Str(value) = &attribute.value else { continue };
        assert!(!value.is_empty(), "{key}");
        assert!(value.len() <= if declares { ATTRIBUTES_MAX } else { TEXT_MAX }, "{key}");
        bytes += value.len();
        if declares && trust == Trust::All {
            continue;
        }
        // Observed, whatever the process declares.
        match &**key {
            "container.id" => {
                assert!(value.len() == 64 && cgroup.contains(&**value), "{value}");
                assert!(value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            }
            "k8s.pod.uid" => assert!(is_pod_uid(value), "{value}"),
            _ => {}
        }
    }
    // What is declared is no longer decoded than encoded.
    assert!(bytes <= ATTRIBUTES_MAX + OBSERVED_MAX * TEXT_MAX);
    if !(declares && trust != Trust::Off)
        && exe.is_none_or(str::is_empty)
        && args.is_empty()
        && comm.is_empty()
    {
        assert_eq!(identity.resource.service_name(), None);
    }
});
