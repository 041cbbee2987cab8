//! `guards.toml`: sections of whole or decimal numbers, so little of TOML that it is read here.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Counts by name.
pub(super) type Figures = BTreeMap<String, f64>;
/// Figures by section: `callgrind`, or `bpf-verified."6.18".socket`.
pub(super) type Sections = BTreeMap<String, Figures>;

const HEAD: &str = "\
# Counted costs that CI holds the sensor to; `cargo xtask guards` explains. Not to be edited: a growth
# on purpose, or a fall, is written here by `cargo xtask guards --accept`.
";

/// Reads the file; none is one without sections.
///
/// # Errors
/// It cannot be read, or is not as [`write()`] leaves it.
pub(super) fn read(path: &Path) -> Result<Sections> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Sections::new()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Writes it anew, in the order of names.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, sections: &Sections) -> Result<()> {
    fs::write(path, show(sections)).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Sections> {
    let mut sections = Sections::new();
    let mut current: Option<&mut Figures> = None;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if sections.contains_key(name) {
                bail!("line {number}: section {name} is there twice");
            }
            current = Some(sections.entry(name.to_owned()).or_default());
            continue;
        }
        let figure = line.split_once(" = ").and_then(|(name, count)| {
            let count: f64 = count.parse().ok().filter(|count: &f64| count.is_finite())?;
            Some((name.to_owned(), count))
        });
        match (figure, &mut current) {
            (Some((name, count)), Some(figures)) if !figures.contains_key(&name) => {
                figures.insert(name, count);
            }
            _ => bail!("line {number}: `{line}` is no section, and no new `name = number` in one"),
        }
    }
    Ok(sections)
}

fn show(sections: &Sections) -> String {
    let mut text = HEAD.to_owned();
    for (name, figures) in sections {
        text.push_str(&format!("\n[{name}]\n"));
        for (name, count) in figures {
            text.push_str(&format!("{name} = {count}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    const FILE: &str = "\
# a comment

[allocations]
client = 4
server = 2.5

[bpf-verified.\"6.18\".socket]
sock_send_length = 12345
";

    #[test]
    fn what_is_written_is_read() {
        let sections = parse(FILE).expect("good");
        assert_eq!(sections["allocations"]["server"], 2.5);
        assert_eq!(sections["bpf-verified.\"6.18\".socket"]["sock_send_length"], 12345.0);
        let written = show(&sections);
        assert!(written.ends_with(FILE.trim_start_matches("# a comment\n")), "{written}");
        assert_eq!(parse(&written).expect("good"), sections);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in
            ["a = 1", "[a]\nb", "[a]\nb = x", "[a]\nb = inf", "[a]\n[a]", "[a]\nb = 1\nb = 2"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("").expect("nothing").is_empty());
    }
}
