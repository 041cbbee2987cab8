//! Costs of the BPF programs.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context as _, Result};
use aya_obj::Object;
use serde_json::Value;

use super::file::{Figures, Sections};
use super::{Count, helper};
use crate::provision::is_root;
use crate::{build_ebpf, workspace};

/// Instructions of each program of the checked-in object, with those of the functions that it calls:
/// what the loader gives to the kernel.
///
/// # Errors
/// The object cannot be read.
pub(super) fn instructions() -> Result<Count> {
    let path = workspace::root().join(build_ebpf::OBJECT);
    let object = fs::read(&path).with_context(|| path.display().to_string())?;
    let figures = linked(&object).with_context(|| path.display().to_string())?;
    Ok(Count::Counted(Sections::from([("bpf-instructions".to_owned(), figures)])))
}

fn linked(object: &[u8]) -> Result<Figures> {
    let mut object = Object::parse(object)?;
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&sections)?;
    let mut figures = Figures::new();
    for (name, program) in &object.programs {
        let function = object.functions.get(&program.function_key()).context("a program's code")?;
        figures.insert(name.clone(), f64::from(u32::try_from(function.instructions.len())?));
    }
    Ok(figures)
}

/// Instructions that this kernel's verifier goes through, of each engine's programs. Sections name
/// the kernel's series, since the verifier changes with it.
///
/// # Errors
/// A program is refused.
pub(super) fn verified() -> Result<Count> {
    if !is_root() {
        return Ok(Count::NotHere(
            "loading BPF programs needs root: sudo -E env PATH=\"$PATH\" cargo xtask guards".into(),
        ));
    }
    let said: Value = serde_json::from_str(&helper().arg("verified").read()?)?;
    sections(&said).with_context(|| format!("the helper said {said}"))
}

fn sections(said: &Value) -> Result<Count> {
    let release = said.get("kernel").and_then(Value::as_str).context("no kernel")?;
    let series = series(release).with_context(|| format!("kernel release {release}"))?;
    let engines = said.get("engines").and_then(Value::as_object).context("no engines")?;
    let mut sections = Sections::new();
    for (engine, programs) in engines {
        let programs = programs.as_object().context("no programs")?;
        let figures: Option<Figures> =
            programs.iter().map(|(name, count)| Some((name.clone(), count.as_f64()?))).collect();
        let figures = figures.context("not a count")?;
        if !figures.is_empty() {
            sections.insert(format!("bpf-verified.\"{series}\".{engine}"), figures);
        }
    }
    if sections.is_empty() {
        return Ok(Count::NotHere(format!(
            "kernel {release} runs no engine, or does not tell what it verified (Linux 5.16)"
        )));
    }
    Ok(Count::Counted(sections))
}

/// `6.18` of `6.18.44-amd64`.
fn series(release: &str) -> Option<String> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let (major, minor) = (parts.next()?, parts.next()?);
    (!major.is_empty() && !minor.is_empty()).then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::{Count, sections, series};
    use serde_json::json;

    #[test]
    fn a_series_is_major_and_minor() {
        for (release, expected) in [
            ("6.18.44-fc-v445", Some("6.18")),
            ("5.10.0-36-cloud-amd64", Some("5.10")),
            ("7.2-rc1", Some("7.2")),
            ("6", None),
            ("", None),
        ] {
            assert_eq!(series(release).as_deref(), expected, "{release}");
        }
    }

    #[test]
    fn engines_are_sections_of_a_kernel() {
        let said = json!({"kernel": "6.18.1", "engines": {
            "socket": {"sock_send_length": 100}, "syscall": {}}});
        let Ok(Count::Counted(sections)) = sections(&said) else { panic!("counts") };
        let all: Vec<_> = sections.iter().collect();
        let [(name, figures)] = all[..] else { panic!("{all:?}") };
        assert_eq!(name, "bpf-verified.\"6.18\".socket");
        assert_eq!(figures["sock_send_length"], 100.0);
        let nothing = json!({"kernel": "5.10.1", "engines": {}});
        assert!(matches!(super::sections(&nothing), Ok(Count::NotHere(_))));
    }
}
