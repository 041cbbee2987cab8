//! The decoders of HTTP/2 beside others, on the same bytes in one process: header blocks (nghttp2's
//! inflater), and frames with them (h2's codec, which reads them into a map of headers).

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::rig::helper::Helper;
use super::row::{Row, Target};
use super::stats::median;
use super::{Bench, progress};

/// Of the throughput of either.
const RATIO: f64 = 1.0;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut helper = Helper::hpack(bench, bench.pick(100, 20))?;
    let mut rows = Vec::new();
    while let Some(line) = helper.next()? {
        let set: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        rows.extend(rows_of(&set).with_context(|| line.clone())?);
        progress(format_args!("{}: done", name(&set)?));
    }
    if rows.is_empty() {
        bail!("sensor-bench measured nothing");
    }
    Ok(rows)
}

fn name(set: &Value) -> Result<&str> {
    set.get("set").and_then(Value::as_str).context("a set without a name")
}

/// Of one set of blocks.
fn rows_of(set: &Value) -> Result<[Row; 2]> {
    let name = name(set)?;
    let count =
        |key: &str| set.get(key).and_then(Value::as_u64).with_context(|| format!("no {key}"));
    let speed = |decoder| median(&speeds(set, "blocks", decoder)?).context("no round");
    let joining = speed("sensor")? / speed("joining")?;
    let note = format!(
        "{} blocks, {} fields; a decoder that joined the connection takes {joining:.2} of the time",
        count("blocks")?,
        count("fields")?,
    );
    let blocks =
        row(set, format!("hpack: blocks of {name}, beside nghttp2"), ["blocks", "nghttp2"])?;
    let frames = row(set, format!("hpack: frames of {name}, beside h2"), ["frames", "h2"])?;
    Ok([blocks.note(note), frames])
}

fn row(set: &Value, name: String, [of, other]: [&str; 2]) -> Result<Row> {
    let (others, ours) = (speeds(set, of, other)?, speeds(set, of, "sensor")?);
    let pairs: Vec<_> = others.into_iter().zip(ours).collect();
    let row = Row::of_pairs(name, "MB/s", &pairs).context("no round")?;
    Ok(row.beside_another().target(Target::RatioAtLeast(RATIO)))
}

/// Megabytes a second in each round.
fn speeds(set: &Value, of: &str, decoder: &str) -> Result<Vec<f64>> {
    let speeds = set.get("mb_s").and_then(|all| all.get(of)?.get(decoder)?.as_array());
    let speeds = speeds.with_context(|| format!("no figures of {decoder}"))?;
    speeds.iter().map(|speed| speed.as_f64().context("not a number")).collect()
}

#[cfg(test)]
mod tests {
    use super::rows_of;
    use serde_json::json;

    #[test]
    fn each_set_is_held_against_both_references() {
        let mut set = json!({
            "set": "x", "blocks": 3, "fields": 30,
            "mb_s": {
                "blocks": { "sensor": [200, 220], "joining": [100, 110], "nghttp2": [100, 100] },
                "frames": { "sensor": [90, 90], "h2": [100, 100] },
            },
        });
        let [blocks, frames] = rows_of(&set).expect("a set");
        let [name, value, baseline, ratio, _, met] = blocks.cells();
        assert_eq!(name, "hpack: blocks of x, beside nghttp2");
        assert_eq!([value, baseline], ["210 MB/s", "100 MB/s"]);
        assert_eq!([ratio, met], ["2.100 ±0.100", "yes"]);
        assert!(blocks.note_text().is_some_and(|note| note.contains("2.00 of the time")));
        assert_eq!(frames.cells()[5], "MISSED");
        set["mb_s"]["frames"]["h2"] = json!([]);
        assert!(rows_of(&set).is_err());
    }
}
