//! `sensor doctor`: would `run` work here, and what is missing.

mod btf;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::capture::live::probe::{self, Answer, Check, Needed};
use crate::system::restrict;

use super::Failure;

/// Exit code where `run` would not work, as [`Failure::Unsupported`] has it.
const UNSUPPORTED: u8 = 3;

/// # Errors
/// The file with type information cannot be read, or is something else.
pub(super) fn doctor(btf: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout();
    if let Some(file) = btf {
        let (text, works) = btf::check(file)?;
        let _ = stdout.write_all(text.as_bytes());
        return Ok(if works { ExitCode::SUCCESS } else { ExitCode::from(UNSUPPORTED) });
    }
    // As `run` is restricted, so that what is tried here works there. The process that is looked at has to be
    // started before.
    let stranger = probe::Stranger::start();
    let _ = restrict::for_tracing(true);
    let mut checks = probe::checks();
    checks.extend(probe::optional_checks(&stranger));
    drop(stranger);
    let colour = stdout.is_terminal() && super::colour_is_welcome();
    // The exit code says the same to whoever closed the output.
    let _ = stdout.write_all(report(&checks, colour).as_bytes());
    let works = missing(&checks).is_empty();
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::from(UNSUPPORTED) })
}

/// A line per check, and what follows from them.
fn report(checks: &[Check], colour: bool) -> String {
    let mut text = String::new();
    for check in checks {
        text.push_str(&line(check, colour));
        text.push('\n');
    }
    let missing = missing(checks);
    let unknown = checks.iter().any(|check| {
        check.needed == Needed::Required && matches!(check.answer, Answer::Unknown(_))
    });
    text.push_str(&match (missing.as_slice(), unknown) {
        ([], false) => "`sensor run` would work here.\n".to_owned(),
        ([], true) => {
            "Nothing that `sensor run` needs is known to be missing; what could not be tried \
             (–) may still stand in its way.\n"
                .to_owned()
        }
        (missing, _) => {
            let names: Vec<_> = missing.iter().map(|check| check.name).collect();
            format!("`sensor run` would not work here: {}.\n", names.join(", "))
        }
    });
    text
}

/// `✗ BTF: not in /sys/kernel/btf (do this about it)`
pub(super) fn line(check: &Check, colour: bool) -> String {
    let Check { name, answer, needed, remedy } = check;
    let (mark, paint, why) = match answer {
        Answer::Yes => ("✓", "32", None),
        Answer::No(why) if *needed == Needed::Required => ("✗", "31", Some(why)),
        Answer::No(why) => ("✗", "33", Some(why)),
        Answer::Unknown(why) => ("–", "33", Some(why)),
    };
    let mark = if colour { format!("\x1b[{paint}m{mark}\x1b[0m") } else { mark.to_owned() };
    let mut text = format!("{mark} {name}");
    if *needed == Needed::Optional {
        text.push_str(" (optional)");
    }
    if let Some(why) = why {
        text.push_str(": ");
        text.push_str(why);
        if !remedy.is_empty() {
            text.push_str(" -> ");
            text.push_str(remedy);
        }
    }
    text
}

/// The checks that stand in the way of `run`: what is required and not there, and all of a group of
/// which one is required, if none is there. What could not be found out stands in nobody's way.
pub(super) fn missing(checks: &[Check]) -> Vec<&Check> {
    let is_no = |check: &Check| matches!(check.answer, Answer::No(_));
    checks
        .iter()
        .filter(|check| match check.needed {
            Needed::Required => is_no(check),
            Needed::OneOf(_) => {
                checks.iter().filter(|other| other.needed == check.needed).all(is_no)
            }
            Needed::Optional => false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, answer: Answer, needed: Needed) -> Check {
        Check { name, answer, needed, remedy: format!("get {name}") }
    }

    fn no() -> Answer {
        Answer::No("not there".into())
    }

    fn names(checks: &[Check]) -> Vec<&'static str> {
        missing(checks).iter().map(|check| check.name).collect()
    }

    #[test]
    fn one_engine_is_enough() {
        let engine = Needed::OneOf("engine");
        let mut checks = vec![
            check("BTF", Answer::Yes, Needed::Required),
            check("socket", no(), engine),
            check("syscall", Answer::Yes, engine),
            check("cgroup", no(), Needed::Optional),
        ];
        assert_eq!(names(&checks), Vec::<&str>::new());
        assert!(report(&checks, false).ends_with("would work here.\n"));
        checks[2].answer = no();
        assert_eq!(names(&checks), ["socket", "syscall"]);
        checks[2].answer = Answer::Unknown("not root".into());
        assert_eq!(names(&checks), Vec::<&str>::new());
    }

    #[test]
    fn what_is_required_is_named_with_its_remedy() {
        let checks = [
            check("BTF", no(), Needed::Required),
            check("memlock", Answer::Unknown("not root".into()), Needed::Required),
        ];
        assert_eq!(names(&checks), ["BTF"]);
        assert_eq!(
            report(&checks, false),
            "✗ BTF: not there -> get BTF\n\
             – memlock: not root -> get memlock\n\
             `sensor run` would not work here: BTF.\n"
        );
        assert!(report(&checks[1..], false).contains("may still stand in its way"));
    }
}
