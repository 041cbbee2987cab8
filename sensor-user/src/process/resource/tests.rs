use super::*;

fn host() -> Host {
    Host { name: Some("node-1".into()), id: Some("0123456789abcdef0123456789abcdef".into()) }
}

fn of(facts: &Facts<'_>) -> Resource {
    let identity = resource(facts, &host(), Trust::Service);
    assert!(!identity.malformed);
    identity.resource
}

fn name(facts: &Facts<'_>) -> Option<String> {
    of(facts).service_name().map(str::to_owned)
}

#[test]
fn everything_that_is_known_is_told() {
    let id = "3f5c8d9e0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef01234567";
    let facts = Facts {
        pid: 42,
        parent: Some(7),
        comm: b"MainThread",
        exe: Some("/usr/bin/node (deleted)"),
        args: b"node\0server.js\0--secret=x\0",
        env:
            b"HOME=/\0OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod,service.version=1\0",
        cgroup: &format!("0::/kubepods/burstable/pod0f3d2a1b-4c5d-6e7f-8091-a2b3c4d5e6f7/{id}\n"),
        ..Facts::default()
    };
    let mut expected = vec![
        Attribute::new("service.name", "server"),
        Attribute::new("process.pid", 42),
        Attribute::new("process.parent_pid", 7),
        Attribute::new("process.executable.name", "node"),
        Attribute::new("process.executable.path", "/usr/bin/node"),
        Attribute::new("process.runtime.name", "nodejs"),
        Attribute::new("container.id", id.to_owned()),
        Attribute::new("k8s.pod.uid", "0f3d2a1b-4c5d-6e7f-8091-a2b3c4d5e6f7"),
        Attribute::new("host.name", "node-1"),
        Attribute::new("host.id", "0123456789abcdef0123456789abcdef"),
        Attribute::new("os.type", "linux"),
        Attribute::new("deployment.environment.name", "prod"),
        Attribute::new("service.version", "1"),
        Attribute::new("sensor.identity", "declared"),
    ];
    if cfg!(target_arch = "x86_64") {
        expected.insert(10, Attribute::new("host.arch", "amd64"));
    }
    let mut found = of(&facts).attributes;
    if !cfg!(target_arch = "x86_64") {
        found.retain(|attribute| attribute.key != "host.arch");
    }
    assert_eq!(found, expected);
}

#[test]
fn the_service_names_itself_first() {
    let facts = |env| Facts {
        comm: b"python3",
        exe: Some("/usr/bin/python3.11"),
        args: b"python3\0app.py\0",
        env,
        ..Facts::default()
    };
    for (env, expected) in [
        (&b""[..], "app"),
        (b"OTEL_SERVICE_NAME=shop\0OTEL_RESOURCE_ATTRIBUTES=service.name=other\0", "shop"),
        (b"OTEL_SERVICE_NAME=\0OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=caf%C3%A9\0", "café"),
        (b"OTEL_SERVICE_NAME=one\0OTEL_SERVICE_NAME=two\0", "one"),
        (b"NOT_OTEL_SERVICE_NAME=x\0OTEL_SERVICE_NAMES=y\0", "app"),
    ] {
        assert_eq!(name(&facts(env)).as_deref(), Some(expected));
    }
}

#[test]
fn without_an_own_name_it_is_the_program() {
    let nginx = Facts {
        comm: b"nginx",
        exe: Some("/usr/sbin/nginx"),
        args: b"nginx: worker process\0",
        ..Facts::default()
    };
    assert_eq!(name(&nginx).as_deref(), Some("nginx"));
    // The executable is not known: the process ended before it could be asked.
    let short = Facts { comm: b"curl", args: b"/usr/bin/curl\0http://x\0", ..Facts::default() };
    assert_eq!(name(&short).as_deref(), Some("curl"));
    let long = Facts {
        comm: b"a-service-with-",
        args: b"/opt/a-service-with-a-long-name\0",
        ..Facts::default()
    };
    assert_eq!(name(&long).as_deref(), Some("a-service-with-a-long-name"));
    let script = Facts { comm: b"python3", args: b"python3\0app.py\0", ..Facts::default() };
    assert_eq!(name(&script).as_deref(), Some("app"));
    assert_eq!(name(&Facts::default()), None);
}

#[test]
fn what_was_cut_is_not_guessed() {
    let java = Facts {
        exe: Some("/usr/bin/java"),
        args: b"java\0com.example.Ma",
        args_cut: true,
        env: b"A=b\0OTEL_SERVICE_NAME=sho",
        env_cut: true,
        ..Facts::default()
    };
    assert_eq!(name(&java).as_deref(), Some("java"));
    let whole = Facts { args_cut: false, env_cut: false, ..java };
    assert_eq!(name(&whole).as_deref(), Some("sho"));
    let ended = Facts { args: b"java\0com.example.Main\0", env: b"A=b\0", ..java };
    assert_eq!(name(&ended).as_deref(), Some("Main"));
}

#[test]
fn malformed_attributes_are_reported_and_ignored() {
    let facts = Facts {
        exe: Some("/bin/x"),
        env: b"OTEL_RESOURCE_ATTRIBUTES=service.name=shop,oops\0",
        ..Facts::default()
    };
    let identity = resource(&facts, &Host::default(), Trust::Service);
    assert!(identity.malformed);
    assert_eq!(identity.resource.service_name(), Some("x"));
}
