//! How fast header blocks are decoded, beside nghttp2, and frames that carry them, beside h2.

mod frames;
mod h2;
pub mod nghttp2;

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use frames::Wire;
use sensor::wire::http2::hpack::{Decoder, Field, Scratch};
use serde_json::{Value, json};

/// Header blocks of one direction of a connection.
type Connection = Vec<Vec<u8>>;

/// Measurements of each decoder, in turn.
const ROUNDS: usize = 15;

/// Bytes of a call's message, with its prefix.
const MESSAGE: usize = 69;

/// Bytes that the stories may have, unpacked.
const STORIES_MAX: usize = 16 << 20;

/// Blocks of the same kind.
struct Set {
    name: String,
    connections: Vec<Connection>,
    /// Of all blocks.
    bytes: usize,
    fields: usize,
    /// Each connection's, in frames.
    wires: Vec<Wire>,
}

/// Decodes all connections of a set, and gives the number of fields.
type Decode<'a> = dyn FnMut(&Set) -> Result<usize> + 'a;

/// Decodes each set of blocks for about `round` with each decoder, in turn, and writes a JSON object
/// for each set: megabytes a second in each round, of header blocks (`blocks`: the sensor, the sensor
/// joining a connection, nghttp2) and of frames with them (`frames`: the sensor, h2).
///
/// # Errors
/// The stories in `tests/data/hpack` cannot be read, or a decoder refuses a block.
pub fn measure(round: Duration, mut report: impl Write) -> Result<()> {
    let mut scratch = Scratch::default();
    let mut sensor = |set: &Set| sensor(set, Decoder::new_complete, &mut scratch);
    let mut scratch = Scratch::default();
    let mut joining = |set: &Set| self::sensor(set, Decoder::joining, &mut scratch);
    for set in sets()? {
        let of_blocks: [(&str, &mut Decode<'_>); 3] =
            [("sensor", &mut sensor), ("joining", &mut joining), ("nghttp2", &mut reference)];
        let of_frames: [(&str, &mut Decode<'_>); 2] =
            [("sensor", &mut frames::decode), ("h2", &mut h2::decode)];
        let on_wire = set.wires.iter().map(|wire| wire.bytes.len()).sum();
        let line = json!({
            "set": set.name,
            "connections": set.connections.len(),
            "blocks": set.connections.iter().map(Vec::len).sum::<usize>(),
            "bytes": set.bytes,
            "fields": set.fields,
            "frame_bytes": on_wire,
            "mb_s": {
                "blocks": speeds(&set, set.bytes, of_blocks, round)?,
                "frames": speeds(&set, on_wire, of_frames, round)?,
            },
        });
        writeln!(report, "{line}")?;
        report.flush()?;
    }
    Ok(())
}

/// Megabytes a second in each round, by decoder. `bytes` is what is decoded at a time.
fn speeds<const N: usize>(
    set: &Set,
    bytes: usize,
    mut decoders: [(&str, &mut Decode<'_>); N],
    round: Duration,
) -> Result<Value> {
    let mut speeds = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for ((_, decoder), speeds) in decoders.iter_mut().zip(&mut speeds) {
            speeds.push(speed(set, bytes, *decoder, round)?);
        }
    }
    let names = decoders.iter().map(|(name, _)| (*name).to_owned());
    Ok(names.zip(speeds.map(Value::from)).collect())
}

/// Megabytes a second.
fn speed(set: &Set, bytes: usize, decoder: &mut Decode<'_>, time: Duration) -> Result<f64> {
    let begin = Instant::now();
    let mut times = 0_u32;
    while begin.elapsed() < time {
        let fields = decoder(set)?;
        ensure!(fields == set.fields, "{fields} fields of {} in {}", set.fields, set.name);
        times += 1;
    }
    Ok(bytes as f64 * f64::from(times) / begin.elapsed().as_secs_f64() / 1e6)
}

/// All connections of a set, each with a decoder of its own. Gives the fields.
fn sensor(set: &Set, new: fn() -> Decoder, scratch: &mut Scratch) -> Result<usize> {
    let mut fields = 0;
    for connection in &set.connections {
        let mut decoder = new();
        for block in connection {
            let tell = |field: Field<'_>| {
                black_box(field);
            };
            fields += decoder.decode(block, scratch, tell)?.fields as usize;
        }
    }
    Ok(fields)
}

fn reference(set: &Set) -> Result<usize> {
    let mut fields = 0;
    for connection in &set.connections {
        let mut decoder = nghttp2::Inflater::new();
        for block in connection {
            let tell = |name: &[u8], value: &[u8], sensitive: bool| {
                black_box((name, value, sensitive));
                fields += 1;
            };
            decoder.decode(block, tell).ok().context("nghttp2 refuses a block")?;
        }
    }
    Ok(fields)
}

fn sets() -> Result<Vec<Set>> {
    let mut sets = stories()?;
    let (calls, message) = (vec![requests()], [0; MESSAGE]);
    sets.push(set("gRPC calls", calls, &message)?);
    Ok(sets)
}

/// After each block goes a frame of DATA, unless it is empty.
fn set(name: &str, connections: Vec<Connection>, data: &[u8]) -> Result<Set> {
    let bytes = connections.iter().flatten().map(Vec::len).sum();
    let wires = connections.iter().map(|blocks| Wire::new(blocks, data)).collect::<Result<_>>()?;
    let mut set = Set { name: name.to_owned(), connections, bytes, fields: 0, wires };
    set.fields = reference(&set)?;
    Ok(set)
}

/// The stories of each encoder, but for the one that changes the table's size: all of these decoders
/// want to be told of the settings then.
fn stories() -> Result<Vec<Set>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/hpack/stories.jsonl.zst");
    let packed = std::fs::read(&path).with_context(|| format!("no {}", path.display()))?;
    let lines = String::from_utf8(zstd::bulk::decompress(&packed, STORIES_MAX)?)?;
    let mut encoders: Vec<(String, Vec<Connection>)> = Vec::new();
    for line in lines.lines() {
        let story: Value = serde_json::from_str(line)?;
        let cases = story["cases"].as_array().context("a story without cases")?;
        let blocks = cases.iter().map(|case| hex(case["wire"].as_str().unwrap_or("?")));
        let blocks = blocks.collect::<Result<_>>()?;
        let encoder = story["encoder"].as_str().context("a story without encoder")?;
        match encoders.iter_mut().find(|(name, _)| name == encoder) {
            _ if encoder.ends_with("change-table-size") => {}
            Some((_, connections)) => connections.push(blocks),
            None => encoders.push((encoder.to_owned(), vec![blocks])),
        }
    }
    encoders.into_iter().map(|(name, connections)| set(&name, connections, &[])).collect()
}

fn hex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?);
    digits.map(byte).collect()
}

/// A thousand calls of a method on one connection: all but the deadline and the trace context is in
/// the table.
fn requests() -> Connection {
    let mut encoder = nghttp2::Deflater::new();
    let call = |number: u64| {
        // Digits that differ all over, as random identifiers do.
        let span = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let trace = (u128::from(span) << 64) | u128::from(span.rotate_left(29) ^ 0x5bd1_e995);
        let fields = [
            (":method", "POST".to_owned()),
            (":scheme", "http".to_owned()),
            (":path", "/helloworld.Greeter/SayHello".to_owned()),
            (":authority", "greeter.example.com:50051".to_owned()),
            ("content-type", "application/grpc".to_owned()),
            ("user-agent", "grpc-go/1.76.0".to_owned()),
            ("te", "trailers".to_owned()),
            ("grpc-timeout", format!("{}u", 4_999_000 + number % 1_000)),
            ("traceparent", format!("00-{trace:032x}-{span:016x}-01")),
        ];
        fields.map(|(name, value)| (name.to_owned(), value))
    };
    (1..=1_000).map(|number| encoder.encode(&call(number))).collect()
}
