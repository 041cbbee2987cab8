use super::super::kernels::chosen;
use super::super::plan::{Places, steps};
use super::*;

/// A machine whose steps all end as they should, saying `lines`.
fn outcome(kernel: &str, lines: impl Fn(Kind) -> Vec<String>) -> Outcome {
    let kernel = chosen(&[kernel]).unwrap()[0];
    let places = Places { sensor: "s".into(), init: "i".into(), tests: |name| name.into() };
    let done = |step: super::super::plan::Step| Done {
        end: End::Ended { code: Some(step.code) },
        lines: lines(step.kind),
        step,
    };
    let steps = steps(kernel, &places, true).into_iter().map(done).collect();
    let boot = Boot { up: Some(("6".into(), 2.0)), steps, broken: None };
    Outcome { kernel, boot, retries: 0, dir: "nowhere".into() }
}

fn right(kind: Kind) -> Vec<String> {
    let said: &[&str] = match kind {
        Kind::Doctor => &["✗ engine socket (only…): no", "✓ engine syscall (every…)"],
        Kind::Refused(_) => &["sensor: …; try `--engine auto`, and see `sensor doctor`"],
        Kind::Auto => &["2026 INFO sensor::cli::run: tracing engine=Syscall"],
        Kind::Programs(_) => &[
            r#"{"name":"sys_exit","insns":100,"xlated":8,"jited":9,"load_ms":1.5}"#,
            r#"{"name":"other","insns":null,"xlated":8,"jited":9,"load_ms":1.5}"#,
            r#"{"attached":2,"open_ms":4.5}"#,
        ],
        Kind::Tests { at_least, .. } => {
            let each = (0..at_least).map(|n| format!("test syscall::test_{n} ... ok"));
            let first = [format!("running {at_least} tests")];
            let last = [format!("test result: ok. {at_least} passed; 0 failed; 0 ignored")];
            return first.into_iter().chain(each).chain(last).collect();
        }
        Kind::Fields => &["51 fields"],
    };
    said.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn nothing_to_complain_about() {
    let outcome = outcome("6.1", right);
    assert_eq!(outcome.complaints(), Vec::<String>::new());
    let programs = outcome.programs("syscall");
    assert_eq!(programs.len(), 2);
    assert_eq!(programs.iter().map(|program| program.insns).sum::<Option<u64>>(), None);
    let Tests { passed, failed } = outcome.tests("syscall");
    assert!(passed > 0 && failed == 0);
    assert_eq!(outcome.fields(), "51 fields");
}

#[test]
fn what_is_said_counts_whatever_the_exit_code() {
    let without = |what: fn(Kind) -> bool| {
        outcome("6.1", move |kind| if what(kind) { vec![] } else { right(kind) }).complaints()
    };
    assert_eq!(without(|kind| kind == Kind::Doctor).len(), 2);
    assert_eq!(without(|kind| kind == Kind::Auto).len(), 1);
    assert_eq!(without(|kind| matches!(kind, Kind::Refused(_))).len(), 1);
    assert!(!without(|kind| matches!(kind, Kind::Tests { .. })).is_empty());
    // The doctor says of another kernel what it said of this one.
    assert_eq!(outcome("7.x", right).complaints().len(), 2, "doctor and auto");
}

#[test]
fn how_steps_end() {
    let mut outcome = outcome("6.1", right);
    outcome.boot.steps[0].end = End::Ended { code: None };
    outcome.boot.steps[1].end = End::Never;
    outcome.boot.steps[2].end = End::Skipped;
    outcome.boot.broken = Some("it went off before its end".into());
    assert_eq!(
        outcome.complaints(),
        ["it went off before its end", "doctor: killed, not 0", "fields did not come to its end"]
    );
}
