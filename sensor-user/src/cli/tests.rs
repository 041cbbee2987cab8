use clap::CommandFactory;

use super::*;
use crate::process::Trust;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["sensor"].iter().chain(args))
}

#[test]
fn the_flags_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn flags_arrive_as_text() {
    let args = [
        "run",
        "--pid",
        "1,2",
        "--pid",
        "x",
        "--comm",
        "a",
        "--comm",
        "b,c",
        "--exe",
        "/x",
        "--port",
        "80",
        "--cgroup",
        "/sys/fs/cgroup/x",
        "--output",
        "?",
        "--for",
        "1s",
        "--engine",
        "e",
        "--ring-size",
        "1",
        "--otlp-endpoint",
        "o",
        "--otlp-protocol",
        "p",
        "--loki-endpoint",
        "l",
        "--loki-tenant",
        "t",
        "--request-id-header",
        "a,b",
        "--baggage-key",
        "k",
        "--trust-resource",
        "all",
        "--verbose",
    ];
    let cli = parse(&args).unwrap();
    assert!(cli.verbose);
    let Command::Run(flags) = cli.command else { panic!("run was asked for") };
    assert_eq!(flags.capture.pid, ["1", "2", "x"]);
    assert_eq!(flags.capture.comm, ["a", "b,c"], "a glob may hold a comma");
    assert_eq!(flags.duration.as_deref(), Some("1s"));
    assert_eq!(flags.export.loki_tenant.as_deref(), Some("t"));
    assert_eq!(flags.context.request_id_header, ["a", "b"]);
    assert_eq!(flags.context.baggage_key, ["k"]);
    assert_eq!(flags.capture.trust_resource, Trust::All);
}

#[test]
fn processes_are_believed_in_their_name_unless_told_otherwise() {
    for (args, trust) in [
        (&["record", "x"][..], Trust::Service),
        (&["record", "x", "--trust-resource", "off"], Trust::Off),
        (&["record", "x", "--trust-resource", "service"], Trust::Service),
    ] {
        let Command::Record(flags) = parse(args).unwrap().command else { panic!("record") };
        assert_eq!(config::record(&flags).unwrap().capture.trust, trust, "{args:?}");
    }
}

#[test]
fn what_clap_refuses() {
    for args in [
        &["run", "--pit", "1"][..],
        &["run", "--output", "json", "--output", "pretty"],
        &["run", "--for"],
        &["record"],
        &["replay", "a", "b"],
        &["replay", "a", "--pid", "1"],
        &["run", "--trust-resource", "on"],
        &["replay", "a", "--trust-resource", "all"],
        &["walk"],
        &[],
    ] {
        assert_eq!(parse(args).unwrap_err().exit_code(), 2, "{args:?}");
    }
}

#[test]
fn problems_of_flags_and_of_the_log_come_together() {
    let said = |text: &str| vec![Problem::Said(text.into())];
    let problems = both::<()>(Err(said("a")), Err(said("b"))).unwrap_err();
    assert_eq!(lines(&problems), "a\nb");
    assert_eq!(both(Ok(1), Err(said("b"))).unwrap_err().len(), 1);
    assert_eq!(both(Ok(1), Ok(String::new())).unwrap(), 1);
}
