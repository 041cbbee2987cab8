//! The table, and the files.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::row::Row;
use super::{Bench, picture};
use crate::run::Cmd;
use crate::ui;

/// What was measured, and where.
pub(super) struct Report {
    /// Without its extension.
    file: PathBuf,
    head: Value,
    /// Why the figures are not for quoting.
    caveats: Vec<String>,
    rows: Vec<Row>,
    /// Measurements that could not be made, and why.
    failed: Vec<(&'static str, String)>,
}

impl Report {
    /// # Errors
    /// The sensor does not start.
    pub(super) fn new(bench: &Bench, file: &Path) -> Result<Self> {
        let version = Cmd::new(&bench.tools.sensor).arg("--version").read()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let head = json!({
            "sensor": version,
            "engine": bench.engine,
            "quick": bench.quick,
            "against": bench.against.as_ref().map(|against| &against.command),
            "unix_time": now.as_secs(),
            "machine": {
                "kernel": read("/proc/sys/kernel/osrelease"),
                "cpu": field("/proc/cpuinfo", "model name"),
                "cpus": cpus,
                "memory": field("/proc/meminfo", "MemTotal"),
                "load_average": read("/proc/loadavg"),
            },
        });
        let mut caveats = Vec::new();
        if let Some(against) = &bench.against {
            caveats.push(format!("Not the sensor, but: {}", against.command));
        }
        if bench.quick {
            caveats.push("A quick run: not for quoting.".to_owned());
        }
        caveats.extend(busy(&read("/proc/loadavg"), cpus));
        for caveat in &caveats {
            ui::line(caveat);
        }
        let (rows, failed) = (Vec::new(), Vec::new());
        Ok(Self { file: file.to_owned(), head, caveats, rows, failed })
    }

    pub(super) fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    pub(super) fn failed(&mut self, name: &'static str, why: String) {
        self.failed.push((name, why));
    }

    /// Writes the files anew.
    pub(super) fn write(&self) -> Result<()> {
        self.write_json()?;
        let of = |key: &str| self.head.get(key).and_then(Value::as_str).unwrap_or_default();
        let machine = |key: &str| {
            let value = self.head.get("machine").and_then(|machine| machine.get(key));
            value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let head = match of("against") {
            "" => format!("{}, engine {}", of("sensor"), of("engine")),
            command => format!("`{command}`"),
        };
        let places: Vec<_> = ["cpu", "cpus", "kernel"].into_iter().filter_map(machine).collect();
        let mut foot = vec![format!("{} (CPU, CPUs, kernel)", places.join(", "))];
        foot.extend(self.caveats.iter().cloned());
        let file = self.file.with_extension("svg");
        fs::write(&file, picture::draw(&self.rows, &head, &foot))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn write_json(&self) -> Result<()> {
        let mut all = self.head.clone();
        let failed: Vec<_> =
            self.failed.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect();
        if let Value::Object(all) = &mut all {
            all.insert("rows".to_owned(), self.rows.iter().map(Row::json).collect());
            all.insert("failed".to_owned(), failed.into());
        }
        let text = serde_json::to_string_pretty(&all)?;
        let file = self.file.with_extension("json");
        fs::write(&file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }

    /// Prints the table, as Markdown, to stdout.
    pub(super) fn print(&self) {
        let mut cells =
            vec![["", "value", "baseline", "ratio", "target", "met"].map(str::to_owned)];
        let mut notes: Vec<&str> = Vec::new();
        for row in &self.rows {
            let mut line = row.cells();
            if let Some(note) = row.note_text() {
                let number = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
                    notes.push(note);
                    notes.len() - 1
                });
                let [name, ..] = &mut line;
                name.push_str(&format!(" [{}]", number + 1));
            }
            cells.push(line);
        }
        let mut text = table(&cells);
        for (number, note) in (1..).zip(notes) {
            text.push_str(&format!("\n[{number}] {note}"));
        }
        for caveat in &self.caveats {
            text.push_str(&format!("\n\n{caveat}"));
        }
        // With stdout closed there is still the file.
        let _ = writeln!(io::stdout().lock(), "{text}");
        for (name, why) in &self.failed {
            ui::line(format_args!("{name} could not be measured: {why}"));
        }
    }

    /// # Errors
    /// A measurement could not be made.
    pub(super) fn verdict(&self) -> Result<()> {
        if !self.failed.is_empty() {
            let names: Vec<_> = self.failed.iter().map(|(name, _)| *name).collect();
            bail!("not measured: {}", names.join(", "));
        }
        Ok(())
    }
}

/// What to say when others use the machine: more than a tenth of its CPUs in the last minute. The
/// bench itself, or a build, may have been one of them.
fn busy(load_average: &str, cpus: usize) -> Option<String> {
    let last_minute: f64 = load_average.split_whitespace().next()?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a number of CPUs")]
    let share = last_minute / cpus as f64;
    (share > 0.1).then(|| {
        format!(
            "The machine was busy at the start (load average {last_minute} on {cpus} CPUs): measure \
             again when it is not."
        )
    })
}

/// Lines of cells as a Markdown table, in columns for people too; all but the first are numbers.
fn table(lines: &[[String; 6]]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            text.push_str(&if column == 0 {
                format!("| {cell:width$} ")
            } else {
                format!("| {cell:>width$} ")
            });
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let rule = "-".repeat(width + 1);
                text.push_str(&if column == 0 { format!("|-{rule}") } else { format!("|{rule}:") });
            }
            text.push_str("|\n");
        }
    }
    text
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The value of `name : value`, the first there is.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = values.filter(|(key, _)| key.trim() == name);
    values.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{busy, table};

    #[test]
    fn a_busy_machine_is_told_from_a_quiet_one() {
        assert_eq!(busy("0.15 1.69 3.65 2/140 18742\n", 2), None);
        assert!(
            busy("10.13 8.04 7.27 2/140 18742\n", 2).is_some_and(|text| text.contains("10.13"))
        );
        assert_eq!(busy("", 2), None);
    }

    #[test]
    fn a_table_is_markdown_in_columns() {
        let line = |cells: [&str; 6]| cells.map(str::to_owned);
        let text = table(&[
            line(["", "value", "b", "r", "t", "met"]),
            line(["a: x", "1", "", "", "<= 2", "yes"]),
        ]);
        let expected = "\
|      | value | b | r |    t | met |
|------|------:|--:|--:|-----:|----:|
| a: x |     1 |   |   | <= 2 | yes |
";
        assert_eq!(text, expected);
    }
}
