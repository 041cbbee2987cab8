use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::capture::decode::ProcessChange;
use crate::capture::event::Monotonic;
use crate::capture::event::ProcessKey;

fn identifier(root: &str) -> (Identifier, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let host = Host { name: Some("node-1".into()), id: None };
    let trust = Trust::default();
    (Identifier::new(PathBuf::from(root), host, trust, Arc::clone(&metrics)), metrics)
}

/// A child of this test, ended with it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeping(env: &[(&str, &str)]) -> Running {
    let mut command = Command::new("sleep");
    command.arg("60").env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    let running = Running(command.spawn().unwrap());
    // Until the exec is done, it is still this test, or has no environment yet.
    let proc = format!("/proc/{}", running.0.id());
    let begun = || {
        fs::read_link(format!("{proc}/exe")).unwrap() != std::env::current_exe().unwrap()
            && (env.is_empty() || !fs::read(format!("{proc}/environ")).unwrap().is_empty())
    };
    while !begun() {
        std::thread::yield_now();
    }
    running
}

fn exec(tgid: u32) -> ProcessRecordView<'static> {
    ProcessRecordView {
        change: ProcessChange::Exec,
        time: Monotonic(1),
        process: ProcessKey::undated(tgid),
        parent: ProcessKey::undated(7),
        execs: 1,
        cgroup: 1,
        comm: b"python3",
        args: b"python3\0worker.py\0",
        args_cut: false,
        env: b"OTEL_RESOURCE_ATTRIBUTES=service.version=2\0",
        env_cut: false,
    }
}

#[test]
fn a_real_process() {
    let running = sleeping(&[("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=demo,broken")]);
    let (identifier, metrics) = identifier("/proc");
    let resource = identifier.identify(ProcessKey::undated(running.0.id())).unwrap().resource;
    let exe = resource.text("process.executable.path").unwrap();
    let name = Path::new(exe).file_name().unwrap().to_str().unwrap();
    assert_eq!(resource.text("process.executable.name"), Some(name));
    assert_eq!(resource.service_name(), Some(name));
    let number =
        |key: &str| resource.attributes.iter().find(|a| a.key == key).unwrap().value.clone();
    assert_eq!(number("process.pid"), i64::from(running.0.id()).into());
    assert_eq!(number("process.parent_pid"), i64::from(std::process::id()).into());
    assert_eq!(resource.text("service.namespace"), None);
    assert_eq!(metrics.get(Counter::ProcessAttributesMalformed), 1);

    let named = sleeping(&[("OTEL_SERVICE_NAME", "nap")]);
    let resource = identifier.identify(ProcessKey::undated(named.0.id())).unwrap().resource;
    assert_eq!(resource.service_name(), Some("nap"));
    assert_eq!(metrics.get(Counter::ProcessAttributesRefused), 0);

    // Counted once, whatever it claims to be.
    let claims = "container.id=1,k8s.pod.name=p,sensor.x=y";
    let claiming = sleeping(&[("OTEL_RESOURCE_ATTRIBUTES", claims)]);
    let resource = identifier.identify(ProcessKey::undated(claiming.0.id())).unwrap().resource;
    assert_eq!(resource.text("k8s.pod.name"), None);
    assert_eq!(metrics.get(Counter::ProcessAttributesRefused), 1);
}

#[test]
fn a_process_that_has_ended_is_an_error_that_names_it() {
    let (identifier, _) = identifier("/proc");
    // Beyond the largest PID_MAX_LIMIT, 2^22.
    let error = identifier.identify(ProcessKey::undated(1 << 23)).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /proc/8388608: "), "{error}");
}

#[test]
fn an_exec_record_names_a_process_that_has_ended() {
    let (identifier, _) = identifier("/proc");
    let resource = identifier.identify_exec(&exec(1 << 23));
    assert_eq!(resource.service_name(), Some("worker"));
    assert_eq!(resource.text("service.version"), Some("2"));
    assert_eq!(resource.text("process.executable.path"), None);
}

#[test]
fn an_exec_record_is_completed_only_by_the_same_program() {
    let running = sleeping(&[("LONG", "x"), ("OTEL_SERVICE_NAME", "nap")]);
    let (identifier, _) = identifier("/proc");
    let other = identifier.identify_exec(&exec(running.0.id()));
    assert_eq!(other.text("process.executable.path"), None);

    let cut = ProcessRecordView {
        comm: b"sleep",
        args: b"sleep\0",
        args_cut: true,
        env: b"LON",
        env_cut: true,
        ..exec(running.0.id())
    };
    let same = identifier.identify_exec(&cut);
    assert_eq!(same.service_name(), Some("nap"));
    assert!(same.text("process.executable.path").is_some());
}

/// A zombie's environment reads as empty.
#[test]
fn a_process_that_ends_while_it_is_read_is_not_complete() {
    let mut named = sleeping(&[("OTEL_SERVICE_NAME", "nap")]);
    let (identifier, _) = identifier("/proc");
    let process = ProcessKey::undated(named.0.id());
    let before = identifier.identify(process).unwrap();
    assert!(before.complete);
    named.0.kill().unwrap();
    let stat = format!("/proc/{}/stat", named.0.id());
    while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let after = identifier.identify(process).unwrap();
    assert_eq!((after.complete, after.resource.service_name()), (false, Some("sleep")));

    let child = ProcessKey::undated(1 << 23);
    let copy = copied(&before.resource, child, process);
    assert_eq!(copy.service_name(), Some("nap"));
    let number = |key: &str| copy.attributes.iter().find(|it| it.key == key).unwrap().value.clone();
    assert_eq!(number("process.pid"), (1i64 << 23).into());
    assert_eq!(number("process.parent_pid"), i64::from(named.0.id()).into());
}
