//! The sensor beside OpenTelemetry's SDKs: services that an SDK traces are asked, and what both say of each request is
//! held against one another. Of each SDK a row for the spans that are alike, and one for each kind of span with the
//! time by which the sensor's is longer.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::loss::count;
use super::rig::helper::Helper;
use super::row::{Row, Target};
use super::traces::PATIENCE;
use super::{Bench, progress};

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut helper = Helper::sdk(bench, bench.pick(2000, 200))?;
    let mut rows = Vec::new();
    while let Some(line) = helper.next_within(PATIENCE)? {
        let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        rows.extend(rows_of(&said).with_context(|| line.clone())?);
        progress(format_args!("{}: done", text(&said, "sdk")?));
    }
    if rows.is_empty() {
        bail!("sensor-bench measured nothing");
    }
    Ok(rows)
}

fn text<'a>(said: &'a Value, key: &str) -> Result<&'a str> {
    said.get(key).and_then(Value::as_str).with_context(|| format!("no {key}"))
}

fn number(said: &Value, key: &str) -> Result<u64> {
    said.get(key).and_then(Value::as_u64).with_context(|| format!("no {key}"))
}

/// # Errors
/// The sensor says anything else than the SDK, or lacks a span without counting it.
fn rows_of(said: &Value) -> Result<Vec<Row>> {
    let name = text(said, "sdk")?;
    let words = said.get("words").and_then(Value::as_array).context("no words")?;
    if let Some(words) = words.first() {
        bail!("the sensor and the SDK do not say the same: {words}");
    }
    let [spans, same, lost] = ["spans", "same", "lost"].map(|key| number(said, key));
    let (spans, same, lost) = (spans?, same?, lost?);
    if number(said, "lost_silently")? > 0 {
        bail!("{lost} spans lost, and not all of them counted");
    }
    let mut rows = vec![
        Row::new(
            format!("sdk: {name}, spans alike"),
            "%",
            100.0 * count(same) / count(spans.max(1)),
        )
        .target(Target::ValueAtLeast(100.0))
        .note(format!(
            "{same} of {spans} spans: trace, caller, and a call's identifier; {lost} lost"
        )),
    ];
    for role in said.get("roles").and_then(Value::as_array).context("no roles")? {
        rows.push(row(name, role)?);
    }
    Ok(rows)
}

fn row(name: &str, role: &Value) -> Result<Row> {
    let micros = |value: &Value| value.as_f64().map(|nanos| nanos / 1000.0).context("no time");
    let quantiles = |key: &str| -> Result<[f64; 3]> {
        let all = role.get(key).and_then(Value::as_array).with_context(|| format!("no {key}"))?;
        let [low, median, high] = all.as_slice() else { bail!("not three of {key}") };
        Ok([micros(low)?, micros(median)?, micros(high)?])
    };
    let takes = micros(role.get("sdk_takes").context("no sdk_takes")?)?;
    let mut words = Vec::new();
    for (what, key) in
        [("starts later", "starts_later"), ("ends later", "ends_later"), ("longer", "takes_longer")]
    {
        let [low, median, high] = quantiles(key)?;
        words.push(format!("{what} by {low:.0}, {median:.0}, {high:.0}"));
    }
    let longer = quantiles("takes_longer")?[1];
    let name = format!("sdk: {name}, {} span longer by", text(role, "role")?);
    let note = format!("{} µs (5 %, 50 %, 95 %); the SDK's takes {takes:.0} µs", words.join("; "));
    Ok(Row::new(name, "µs", longer).note(note))
}

#[cfg(test)]
mod tests {
    use super::rows_of;
    use serde_json::{Value, json};

    fn said() -> Value {
        let times = [-1000, 2000, 3000];
        json!({
            "sdk": "x", "spans": 30, "same": 29, "lost": 1, "lost_silently": 0, "words": [],
            "roles": [{
                "role": "server", "starts_later": times, "ends_later": times, "takes_longer": times,
                "sdk_takes": 9000,
            }],
        })
    }

    #[test]
    fn spans_are_counted_and_times_are_medians() {
        let rows = rows_of(&said()).expect("rows");
        assert_eq!(rows[0].cells()[5], "MISSED");
        assert_eq!(rows[1].cells()[..2], ["sdk: x, server span longer by", "2 µs"]);
        assert!(rows[1].note_text().is_some_and(|note| note.contains("longer by -1, 2, 3 µs")));
    }

    #[test]
    fn what_is_not_alike_fails() {
        for (key, value) in [("words", json!(["another parent"])), ("lost_silently", json!(1))] {
            let mut said = said();
            said[key] = value;
            assert!(rows_of(&said).is_err(), "{key}");
        }
    }
}
