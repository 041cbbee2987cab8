use std::collections::HashMap;

use super::flags::{CaptureFlags, ExportFlags};
use super::*;
use crate::capture::event::Tgid;
use crate::export::Policy;
use crate::process::ProcessFacts;

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn with_env(flags: &RunFlags, vars: &[(&str, &str)]) -> Result<Run, Vec<Problem>> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    run(flags, &|name| vars.get(name).map(|&value| value.to_owned()))
}

fn lines(result: Result<Run, Vec<Problem>>) -> Vec<String> {
    result.expect_err("has problems").iter().map(ToString::to_string).collect()
}

fn capturing(capture: CaptureFlags) -> RunFlags {
    RunFlags { capture, ..RunFlags::default() }
}

fn exporting(export: ExportFlags) -> RunFlags {
    RunFlags { export, ..RunFlags::default() }
}

fn otlp_flag(endpoint: &str) -> RunFlags {
    exporting(ExportFlags { otlp_endpoint: Some(endpoint.into()), ..ExportFlags::default() })
}

#[test]
fn nothing_given_traces_everything_and_exports_nothing() {
    let config = run(&RunFlags::default(), &no_env).unwrap();
    assert!(!config.capture.is_filtered());
    assert_eq!(config.capture.engine, Engine::Auto);
    assert_eq!(config.capture.ring_bytes, 16 * 1024 * 1024);
    assert!(!config.capture.verbose && config.capture.go_probes);
    assert_eq!((config.output, config.duration), (Output::Auto, None));
    assert!(config.export.settings.otlp.is_none() && config.export.settings.loki.is_none());
}

#[test]
fn every_flag_means_something() {
    let flags = RunFlags {
        capture: CaptureFlags {
            pid: texts(&["1", "4194304", "1"]),
            comm: texts(&["nginx*"]),
            exe: texts(&["*/node", "/usr/bin/python3.?"]),
            cgroup: vec!["/sys/fs/cgroup/a".into()],
            port: texts(&["1", "65535"]),
            engine: Some("syscall".into()),
            ring_size: Some("1GiB".into()),
            go_probes: Some("off".into()),
            verbose: true,
        },
        output: OutputFlags { output: Some("json".into()) },
        export: ExportFlags {
            otlp_endpoint: Some("https://collector:443/otel/".into()),
            otlp_protocol: Some("http/protobuf".into()),
            loki_endpoint: Some("http://loki:3100".into()),
            loki_tenant: Some("team-a".into()),
        },
        duration: Some("1m 30s".into()),
    };
    let config = run(&flags, &no_env).unwrap();
    let mut pids: Vec<_> = config.capture.selection.pids().map(|pid| pid.0).collect();
    pids.sort_unstable();
    assert_eq!(pids, [1, 4_194_304]);
    let facts = |comm, exe| ProcessFacts { tgid: Tgid(2), comm, exe: Some(exe) };
    let selects = |facts| config.capture.selection.matches(&facts);
    assert!(selects(facts("nginx: worker", "/x")));
    assert!(selects(facts("x", "/usr/bin/python3.9")));
    assert!(!selects(facts("x", "/x")));
    assert_eq!(config.capture.ports, [1, 65_535]);
    assert_eq!(config.capture.engine, Engine::Syscall);
    assert_eq!(config.capture.ring_bytes, 1 << 30);
    assert!(config.capture.verbose && !config.capture.go_probes);
    assert_eq!(config.output, Output::Json);
    assert_eq!(config.duration, Some(Duration::from_secs(90)));
    let otlp = config.export.settings.otlp.unwrap();
    assert_eq!(otlp.endpoint.as_str(), "https://collector/otel/v1/traces");
    assert_eq!(config.export.settings.loki.unwrap().endpoint.host_str(), Some("loki"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let flags = RunFlags {
        capture: CaptureFlags {
            pid: texts(&["0", "12", "x"]),
            comm: texts(&["[", "a-name-of-16-byt"]),
            exe: texts(&[""]),
            cgroup: vec!["system.slice".into()],
            port: texts(&["65536", "http"]),
            engine: Some("kprobe".into()),
            ring_size: Some("3MiB".into()),
            go_probes: Some("maybe".into()),
            verbose: false,
        },
        output: OutputFlags { output: Some("xml".into()) },
        export: ExportFlags {
            otlp_endpoint: Some("localhost:4317".into()),
            otlp_protocol: Some("http/json".into()),
            loki_endpoint: Some("ftp://loki".into()),
            loki_tenant: Some("ä\n".into()),
        },
        duration: Some("20".into()),
    };
    let vars = [("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), ("OTEL_TRACES_EXPORTER", "zipkin")];
    let lines = lines(with_env(&flags, &vars));
    let expected = [
        r#"--pid "0": expected a process id from 1 to 4194304"#,
        r#"--pid "x": expected a process id"#,
        r#"--exe "": expected a glob"#,
        r#"--cgroup "system.slice": expected the full path"#,
        r#"--port "65536": expected a port from 1 to 65535"#,
        r#"--port "http": expected a port"#,
        r#"--engine "kprobe": expected auto, socket or syscall"#,
        r#"--ring-size "3MiB": expected a power of two, such as 2MiB or 4MiB"#,
        r#"--go-probes "maybe": expected on or off"#,
        r#"--output "xml": expected pretty, json or none"#,
        r#"--for "20": expected a duration above zero with its unit"#,
    ];
    // The destinations' own texts, in between, are tested with them.
    for part in [
        "--comm [",
        "--comm a-name-of-16-byt",
        "--otlp-endpoint",
        "--otlp-protocol",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "--loki-endpoint",
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part} is not in {lines:#?}");
    }
    let lines: Vec<_> = lines.iter().filter(|line| line.contains(": expected ")).collect();
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nshould start with\n{expected}");
    }
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
}

#[test]
fn too_many_ports_and_cgroups() {
    let ports: Vec<String> = (1..=17).map(|port| port.to_string()).collect();
    let cgroup = (1..=9).map(|n| PathBuf::from(format!("/sys/fs/cgroup/{n}"))).collect();
    let flags = capturing(CaptureFlags { port: ports, cgroup, ..CaptureFlags::default() });
    assert_eq!(
        lines(run(&flags, &no_env)),
        [
            r#"--cgroup "9 of them": expected at most 8"#,
            r#"--port "17 of them": expected at most 16"#
        ]
    );
    // One named twice is one.
    let ports = (1..=16).chain(1..=16).map(|port| port.to_string()).collect();
    let flags = capturing(CaptureFlags { port: ports, ..CaptureFlags::default() });
    assert_eq!(run(&flags, &no_env).unwrap().capture.ports.len(), 16);
}

#[test]
fn durations_and_sizes() {
    assert_eq!(value::duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(value::duration(" 5m "), Ok(Duration::from_secs(300)));
    for wrong in ["", "0s", "20", "-1s", "s", "99999999999999y", "1e3s", "100y"] {
        assert!(value::duration(wrong).is_err(), "{wrong}");
    }
    let size = |text| value::power_of_two_size(text, 65_536, 1 << 30);
    assert_eq!(size("65536"), Ok(65_536));
    assert_eq!(size("64KiB"), Ok(65_536));
    assert_eq!(size("16 mib"), Ok(16 << 20));
    assert_eq!(size("1G"), Ok(1 << 30));
    for wrong in ["", "MiB", "4KiB", "2GiB", "16MB", "16.5MiB", "-1", "99999999999999999999GiB"] {
        assert!(size(wrong).is_err(), "{wrong}");
    }
    assert_eq!(size("65537").unwrap_err(), "a power of two, such as 64KiB or 128KiB");
}

#[test]
fn otlp_by_flag_and_by_variable() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");
    let otlp = |flags: &RunFlags, vars: &[_]| with_env(flags, vars).unwrap().export.settings.otlp;
    let url = otlp(&RunFlags::default(), &[base]).unwrap().endpoint;
    assert_eq!(url.as_str(), "http://base:4318/v1/traces");
    let url = otlp(&otlp_flag("http://flag:1"), &[base]).unwrap().endpoint;
    assert_eq!(url.as_str(), "http://flag:1/v1/traces");
    assert!(otlp(&RunFlags::default(), &[]).is_none());
}

#[test]
fn batch_variables() {
    let policy = |vars: &[_]| {
        let config = with_env(&otlp_flag("http://c:4318"), vars).unwrap();
        config.export.settings.otlp.unwrap().policy
    };
    let set = policy(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4096"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1024"),
        ("OTEL_BSP_SCHEDULE_DELAY", "2500"),
    ]);
    assert_eq!((set.capacity, set.batch_spans), (4096, 1024));
    assert_eq!(set.batch_age, Duration::from_millis(2500));
    let small = policy(&[("OTEL_BSP_MAX_QUEUE_SIZE", "10")]);
    assert_eq!((small.capacity, small.batch_spans), (10, 10));
    assert_eq!(policy(&[("OTEL_BSP_MAX_QUEUE_SIZE", " ")]), Policy::default());

    let vars = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "11"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
    ];
    assert_eq!(
        lines(with_env(&otlp_flag("http://c"), &vars)),
        [
            r#"OTEL_BSP_MAX_EXPORT_BATCH_SIZE "11": expected a number from 1 to 10 (the queue's size, OTEL_BSP_MAX_QUEUE_SIZE)"#,
            r#"OTEL_BSP_SCHEDULE_DELAY "-1": expected milliseconds from 1 to 86400000, without a unit"#,
        ]
    );
}

#[test]
fn the_port_of_grpc_with_another_protocol_is_noted() {
    let notes = |flags: &RunFlags, vars: &[_]| with_env(flags, vars).unwrap().export.notes;
    assert!(notes(&otlp_flag("http://c:4317"), &[])[0].contains("--otlp-protocol grpc"));
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert!(notes(&otlp_flag("http://c:4317"), &[grpc]).is_empty());
    assert!(notes(&otlp_flag("http://c:4318"), &[]).is_empty());
}

#[test]
fn settings_that_need_another() {
    let flags = exporting(ExportFlags {
        otlp_protocol: Some("grpc".into()),
        loki_tenant: Some("a".into()),
        ..ExportFlags::default()
    });
    let lines = lines(run(&flags, &no_env));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("--loki-tenant")));
    assert!(lines.iter().any(|line| line.starts_with("--otlp-protocol")));
}

#[test]
fn log_directives() {
    let parse = |verbose, text: Option<&str>| {
        log(verbose, &|name| (name == "SENSOR_LOG").then_some(text).flatten().map(str::to_owned))
    };
    assert_eq!(parse(false, None).unwrap(), "warn");
    assert_eq!(parse(false, Some("")).unwrap(), "warn");
    assert_eq!(parse(false, Some("sensor=trace,aya=info")).unwrap(), "sensor=trace,aya=info");
    assert_eq!(parse(true, Some("error")).unwrap(), "warn,sensor=debug");
    let problems = parse(false, Some("sensor=loud")).unwrap_err();
    assert!(problems[0].to_string().starts_with(r#"SENSOR_LOG "sensor=loud": expected a level"#));
}

#[test]
fn record_and_replay_report_theirs() {
    let flags = RecordFlags {
        file: "x".into(),
        capture: CaptureFlags { port: texts(&["0"]), ..CaptureFlags::default() },
        duration: Some("1".into()),
    };
    assert_eq!(record(&flags).unwrap_err().len(), 2);
    let flags = ReplayFlags {
        output: OutputFlags { output: Some("csv".into()) },
        export: ExportFlags { loki_endpoint: Some("loki".into()), ..ExportFlags::default() },
        ..ReplayFlags::default()
    };
    assert_eq!(replay(&flags, &no_env).unwrap_err().len(), 2);
}
