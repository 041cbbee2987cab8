mod keys;
mod rules;

use std::collections::HashMap;

use super::flags::{CallerFlags, CaptureFlags, ContextFlags, ExportFlags, GovernFlags, RuleFlags};
use super::*;
use crate::capture::event::Tgid;
use crate::capture::live::LogsOf;
use crate::export::Policy;
use crate::govern::{Existing, Ratio, Root, Sampler, adaptive};
use crate::process::{ProcessFacts, Trust};
use crate::trace::ForeignTrace;

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
    assert_eq!(config.capture.trust, Trust::Service);
    assert_eq!((config.output, config.duration), (Output::Auto, None));
    assert!(config.export.settings.otlp.is_none() && config.export.settings.loki.is_none());
    assert_eq!(config.govern, Govern::default());
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
            event_loops: Some("off".into()),
            ring_size: Some("1GiB".into()),
            go_probes: Some("off".into()),
            trust_resource: Trust::All,
            logs: Some("on".into()),
            log_skip: texts(&["shop", "cart", "shop"]),
            log_file: texts(&["/var/log/app/*.log"]),
            verbose: true,
        },
        context: ContextFlags {
            request_id_header: texts(&["X-Order", "x-request-id"]),
            baggage_key: texts(&["user.tier"]),
        },
        output: OutputFlags { output: Some("json".into()) },
        export: ExportFlags {
            otlp_endpoint: Some("https://collector:443/otel/".into()),
            otlp_protocol: Some("http/protobuf".into()),
            loki_endpoint: Some("http://loki:3100".into()),
            loki_tenant: Some("team-a".into()),
        },
        govern: GovernFlags {
            sampler: Some("parentbased_traceidratio:0.25".into()),
            keep_errors: true,
            keep_slow: Some("500ms".into()),
            existing_spans: Some("link".into()),
        },
        callers: CallerFlags {
            trusted_peer: texts(&["10.244.0.0/16", "fd00::/8"]),
            foreign_trace: Some("restart".into()),
        },
        rules: RuleFlags::default(),
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
    assert!(!config.capture.event_loops);
    assert_eq!(config.capture.ring_bytes, 1 << 30);
    assert!(config.capture.verbose && !config.capture.go_probes);
    assert_eq!(config.capture.trust, Trust::All);
    let logs = &config.capture.logs;
    assert_eq!(logs.of, LogsOf::Traced);
    assert_eq!(
        (&logs.skip, &logs.files),
        (&texts(&["shop", "cart"]), &texts(&["/var/log/app/*.log"]))
    );
    assert!(config.context.request(b"x-order").is_some());
    assert!(config.context.request(b"X-Request-ID").is_some());
    assert!(config.context.request(b"x-trace-id").is_none());
    assert!(config.context.request(b"uberctx-user.tier").is_some());
    assert_eq!(config.output, Output::Json);
    assert_eq!(config.duration, Some(Duration::from_secs(90)));
    let otlp = config.export.settings.otlp.unwrap();
    assert_eq!(otlp.endpoint.as_str(), "https://collector/otel/v1/traces");
    assert_eq!(config.export.settings.loki.unwrap().endpoint.host_str(), Some("loki"));
    let root = Root::TraceIdRatio(Ratio::new(0.25).unwrap());
    let expected = Govern {
        sampler: Sampler::Fixed { root, parent_based: true },
        keep_errors: true,
        keep_slow: Some(Duration::from_millis(500)),
        existing: Existing::Link,
        access_records: true,
        ..Govern::default()
    };
    assert_eq!(config.govern, expected);
    let trusted = ["10.244.0.0/16", "fd00::/8"].map(|network| network.parse().unwrap()).into();
    assert_eq!(config.callers, Callers { trusted, foreign_trace: ForeignTrace::Restart });
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
            event_loops: Some("yes".into()),
            ring_size: Some("3MiB".into()),
            go_probes: Some("maybe".into()),
            trust_resource: Trust::Off,
            logs: Some("all".into()),
            log_skip: texts(&[""]),
            log_file: texts(&["app.log", "/var/log/["]),
            verbose: false,
        },
        context: ContextFlags {
            request_id_header: texts(&["x id", "Cookie", "traceparent"]),
            baggage_key: texts(&["", "a=b"]),
        },
        output: OutputFlags { output: Some("xml".into()) },
        export: ExportFlags {
            otlp_endpoint: Some("localhost:4317".into()),
            otlp_protocol: Some("http/json".into()),
            loki_endpoint: Some("ftp://loki".into()),
            loki_tenant: Some("ä\n".into()),
        },
        govern: GovernFlags {
            sampler: Some("sometimes".into()),
            keep_errors: false,
            keep_slow: Some("0".into()),
            existing_spans: Some("drop".into()),
        },
        callers: CallerFlags {
            trusted_peer: texts(&["10.0.0.1/8", "192.0.2.7", "pods"]),
            foreign_trace: Some("drop".into()),
        },
        rules: RuleFlags {
            drop: texts(&["level >= loud"]),
            log_sample: texts(&["2"]),
            log_rate: Some("many".into()),
            log_class: texts(&["other: level = info"]),
            redact: texts(&["password", "pattern:[=mask"]),
            redact_defaults: Some("yes".into()),
            redact_email: false,
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
        r#"--logs "all": expected auto, on or off"#,
        r#"--log-skip "": expected a service's name"#,
        r#"--log-file "app.log": expected a glob of full paths"#,
        r#"--log-file "/var/log/[": expected a glob of full paths"#,
        r#"--engine "kprobe": expected auto, socket or syscall"#,
        r#"--event-loops "yes": expected on or off"#,
        r#"--ring-size "3MiB": expected a power of two, such as 2MiB or 4MiB"#,
        r#"--go-probes "maybe": expected on or off"#,
        r#"--request-id-header "x id": expected the name of a header field"#,
        r#"--request-id-header "Cookie": expected a field that holds no credentials"#,
        r#"--request-id-header "traceparent": expected a field that is not read"#,
        r#"--baggage-key "": expected a key of W3C Baggage"#,
        r#"--baggage-key "a=b": expected a key of W3C Baggage"#,
        r#"--output "xml": expected pretty, tree, json or none"#,
        r#"--trusted-peer "10.0.0.1/8": expected a network such as 10.244.0.0/16 or fd00::/8, without"#,
        r#"--trusted-peer "pods": expected a network such as 10.244.0.0/16"#,
        r#"--foreign-trace "drop": expected keep or restart"#,
        r#"--sampler "sometimes": expected always_on, always_off, traceidratio, parentbased_always_on"#,
        r#"--keep-slow "0": expected a duration above zero with its unit"#,
        r#"--existing-spans "drop": expected keep, skip or link"#,
        r#"--drop "level >= loud": expected a level (debug, info, warn, error or fatal) at column 10, not "loud""#,
        r#"--log-sample "2": expected a ratio from 0 to 1, for example 0.1, or an expression"#,
        r#"--log-rate "many": expected records in a second (/s"#,
        r#"--log-class "other: level = info": expected business, middleware or infrastructure, a colon"#,
        r#"--redact "password": expected name:GLOB=ACTION, pattern:REGEX=ACTION or KNOWN=ACTION"#,
        r#"--redact "pattern:[=mask": expected a regular expression after pattern: (unclosed character class)"#,
        r#"--redact-defaults "yes": expected on or off"#,
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
fn whose_logs_are_taken() {
    let taken = |capture: CaptureFlags| run(&capturing(capture), &no_env).unwrap().capture.logs.of;
    let logs = |text: &str| CaptureFlags { logs: Some(text.into()), ..CaptureFlags::default() };
    assert_eq!(taken(CaptureFlags::default()), LogsOf::Exchanging);
    assert_eq!(taken(logs("auto")), LogsOf::Exchanging);
    assert_eq!(taken(logs("on")), LogsOf::Traced);
    assert_eq!(taken(logs("off")), LogsOf::Nobody);
    let ports = CaptureFlags { port: texts(&["80"]), ..CaptureFlags::default() };
    assert_eq!(taken(ports), LogsOf::Exchanging, "a port names no process");
    for named in [
        CaptureFlags { pid: texts(&["1"]), ..CaptureFlags::default() },
        CaptureFlags { comm: texts(&["nginx"]), ..logs("auto") },
        CaptureFlags { exe: texts(&["nginx"]), ..CaptureFlags::default() },
        CaptureFlags { cgroup: vec!["/sys/fs/cgroup".into()], ..CaptureFlags::default() },
    ] {
        assert_eq!(taken(named.clone()), LogsOf::Traced, "{named:?}");
        let off = CaptureFlags { logs: Some("off".into()), ..named };
        assert_eq!(taken(off), LogsOf::Nobody);
    }
    let contradiction = CaptureFlags { log_file: texts(&["/var/log/x"]), ..logs("off") };
    assert_eq!(
        lines(run(&capturing(contradiction), &no_env)),
        [r#"--log-file "/var/log/x": expected no such setting together with --logs off"#]
    );
}

#[test]
fn identifiers_and_baggage() {
    let reads = |flags: ContextFlags, vars: &[(&str, &str)]| {
        let config = with_env(&RunFlags { context: flags, ..RunFlags::default() }, vars).unwrap();
        let names = ["x-request-id", "x-trace-id", "x-correlation-id", "x-order", "baggage"];
        names.map(|name| config.context.request(name.as_bytes()).is_some())
    };
    let none = ContextFlags::default;
    let only = |name| ContextFlags { request_id_header: texts(&[name]), ..ContextFlags::default() };
    assert_eq!(reads(none(), &[]), [true, true, true, false, false]);
    assert_eq!(reads(only("none"), &[]), [false; 5]);
    let vars = [("SENSOR_REQUEST_ID_HEADERS", "x-order, x-trace-id"), ("SENSOR_BAGGAGE_KEYS", "a")];
    assert_eq!(reads(none(), &vars), [false, true, false, true, true]);
    assert_eq!(reads(only("x-request-id"), &vars), [true, false, false, false, true]);
    assert_eq!(reads(none(), &[("SENSOR_REQUEST_ID_HEADERS", " ")])[..3], [true; 3]);

    let many: Vec<String> = (0..17).map(|n| format!("x-{n}")).collect();
    let flags = ContextFlags { request_id_header: many.clone(), baggage_key: many };
    let lines = lines(run(&RunFlags { context: flags, ..RunFlags::default() }, &no_env));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], r#"--request-id-header "17 of them": expected at most 16"#);
    let vars = [("SENSOR_BAGGAGE_KEYS", "a,,b")];
    let lines = with_env(&RunFlags::default(), &vars).unwrap_err();
    assert!(lines[0].to_string().starts_with(r#"SENSOR_BAGGAGE_KEYS "": expected a key"#));
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
    assert_eq!((set.capacity, set.batch_items), (4096, 1024));
    assert_eq!(set.batch_age, Duration::from_millis(2500));
    let small = policy(&[("OTEL_BSP_MAX_QUEUE_SIZE", "10")]);
    assert_eq!((small.capacity, small.batch_items), (10, 10));
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
    // Said once for both signals.
    assert_eq!(notes(&otlp_flag("http://c:4317"), &[]).len(), 1);
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4317");
    assert_eq!(notes(&RunFlags::default(), &[logs]).len(), 1);
}

#[test]
fn log_records_go_to_loki_or_else_over_otlp() {
    let otlp_logs = |loki: Option<&str>, vars: &[_]| {
        let export =
            ExportFlags { loki_endpoint: loki.map(Into::into), ..otlp_flag("http://c:1").export };
        let settings = with_env(&exporting(export), vars).unwrap().export.settings;
        settings.otlp_logs.map(|it| (it.endpoint.to_string(), it.policy.batch_items))
    };
    let logs = Some(("http://c:1/v1/logs".to_owned(), Policy::of_records().batch_items));
    assert_eq!(otlp_logs(None, &[]), logs);
    assert_eq!(otlp_logs(Some("http://l"), &[]), None);
    assert_eq!(otlp_logs(Some("http://l"), &[("OTEL_LOGS_EXPORTER", "otlp")]), logs);
    assert_eq!(otlp_logs(None, &[("OTEL_LOGS_EXPORTER", "none")]), None);
    let small = [("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "7")];
    assert_eq!(otlp_logs(None, &small).map(|it| it.1), Some(7));

    // What is wrong for both signals is said once.
    let vars = [("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_LOGS_EXPORTER", "console")];
    let lines = lines(with_env(&otlp_flag("http://c:1"), &vars));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("OTEL_LOGS_EXPORTER has to be otlp or none"), "{lines:?}");
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
        force: false,
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

fn sampling(flag: Option<&str>, vars: &[(&str, &str)]) -> Result<Sampler, Vec<Problem>> {
    let govern = GovernFlags { sampler: flag.map(str::to_owned), ..GovernFlags::default() };
    with_env(&RunFlags { govern, ..RunFlags::default() }, vars).map(|config| config.govern.sampler)
}

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

#[test]
fn samplers_by_flag_and_by_variable() {
    let ratio = |ratio| Root::TraceIdRatio(Ratio::new(ratio).unwrap());
    let fixed = |root, parent_based| Sampler::Fixed { root, parent_based };
    for (name, arg, expected) in [
        ("always_on", None, fixed(Root::AlwaysOn, false)),
        ("always_off", None, fixed(Root::AlwaysOff, false)),
        ("traceidratio", Some("0.25"), fixed(ratio(0.25), false)),
        // The specification's default.
        ("traceidratio", None, fixed(ratio(1.0), false)),
        ("parentbased_always_on", None, fixed(Root::AlwaysOn, true)),
        ("parentbased_always_off", None, fixed(Root::AlwaysOff, true)),
        ("parentbased_traceidratio", Some("1e-3"), fixed(ratio(0.001), true)),
        ("adaptive", None, Sampler::Adaptive(adaptive::Settings::default())),
        (
            "adaptive",
            Some("min=0.05, max=1,errors=0.5,window=5m"),
            Sampler::Adaptive(adaptive::Settings {
                min: 0.05,
                max: 1.0,
                errors: 0.5,
                window: Duration::from_secs(300),
            }),
        ),
    ] {
        let flag = arg.map_or(name.to_owned(), |arg| format!("{name}:{arg}"));
        assert_eq!(sampling(Some(&flag), &[]), Ok(expected));
        let vars = [(SAMPLER, name), (ARG, arg.unwrap_or(" "))];
        assert_eq!(sampling(None, &vars), Ok(expected), "{name}");
    }
    // A flag is all that counts; an argument without a sampler does not.
    let vars = [(SAMPLER, "xray"), (ARG, "7")];
    assert_eq!(sampling(Some("always_off"), &vars), Ok(fixed(Root::AlwaysOff, false)));
    assert_eq!(sampling(None, &vars[1..]), Ok(Sampler::default()));
    // As SDKs have it, who takes no argument does not look at it.
    let vars = [(SAMPLER, "always_on"), (ARG, "0.5")];
    assert_eq!(sampling(None, &vars), Ok(fixed(Root::AlwaysOn, false)));
}

#[test]
fn samplers_that_cannot_be_used() {
    let lines = |flag, vars: &[_]| {
        let problems = sampling(flag, vars).expect_err("has problems");
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for (flag, expected) in [
        ("", "expected always_on, always_off, "),
        ("jaeger_remote", "expected always_on, always_off, "),
        ("traceidratio:", "expected traceidratio:ARG with a ratio from 0 to 1, for example 0.25"),
        ("traceidratio:1.01", "with a ratio from 0 to 1"),
        ("traceidratio:NaN", "with a ratio from 0 to 1"),
        ("always_on:0.5", "expected always_on alone, which has no argument"),
        ("adaptive:0.5", "expected adaptive:ARG with min=, max="),
        ("adaptive:min=2", "with min=, max="),
        ("adaptive:errors=0", "with min=, max="),
        ("adaptive:window=60", "with min=, max="),
        ("adaptive:rate=1", "with min=, max="),
        ("adaptive:min=0.5", "with min not above max (now 0.5 and 0.2)"),
    ] {
        let line = lines(Some(flag), &[]);
        assert!(line.starts_with(&format!("--sampler {flag:?}: ")), "{line}");
        assert!(line.contains(expected), "{line}");
    }
    let line = lines(None, &[(SAMPLER, "xray")]);
    assert!(line.starts_with(r#"OTEL_TRACES_SAMPLER "xray": expected always_on"#), "{line}");
    let vars = [(SAMPLER, "traceidratio"), (ARG, "25%")];
    assert_eq!(
        lines(None, &vars),
        r#"OTEL_TRACES_SAMPLER_ARG "25%": expected a ratio from 0 to 1, for example 0.25 (for traceidratio)"#
    );
}

/// Nothing is doubled where the processes' own spans do not arrive.
#[test]
fn existing_spans_are_told_apart_where_both_would_arrive() {
    let existing = |export: ExportFlags, flag: Option<&str>| {
        let govern =
            GovernFlags { existing_spans: flag.map(str::to_owned), ..GovernFlags::default() };
        run(&RunFlags { export, govern, ..RunFlags::default() }, &no_env).unwrap().govern.existing
    };
    let otlp = || otlp_flag("http://c:4318").export;
    assert_eq!(existing(otlp(), None), Existing::Link);
    assert_eq!(existing(otlp(), Some("keep")), Existing::Keep);
    let loki = ExportFlags { loki_endpoint: Some("http://l".into()), ..ExportFlags::default() };
    assert_eq!(existing(loki, None), Existing::Keep);
    assert_eq!(existing(ExportFlags::default(), Some("skip")), Existing::Skip);
}
