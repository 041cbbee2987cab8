//! Rust's loggers: `loggers LOGGER`. What is told of each record is described in tests/workloads/loggers-go.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tracing_subscriber::fmt;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// What is true of all records of a logger.
struct Style {
    source: &'static str,
    /// Of its own time, in nanoseconds; 0 where it writes none.
    resolution: u64,
    /// Text, not JSON.
    text: bool,
    /// Where it was called is in it.
    caller: bool,
    /// Lines in messages are written as they are.
    raw: bool,
}

fn now() -> Result<u64, Box<dyn Error>> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

/// Writes one record and what it is: its level and message, and the line that logs.
fn one(
    truth: &mut File,
    style: &Style,
    level: &str,
    message: &str,
    more: Value,
    write: impl FnOnce() -> u32,
) -> Result<(), Box<dyn Error>> {
    let mut said = more;
    said["level"] = level.into();
    said["message"] = message.into();
    said["source"] = style.source.into();
    said["resolution"] = style.resolution.into();
    said["loose"] = style.text.into();
    said["untyped"] = style.text.into();
    said["split"] = (style.raw && message.contains('\n')).into();
    said["before"] = now()?.into();
    let line = write();
    said["after"] = now()?.into();
    if style.caller {
        said["file"] = "main.rs".into();
        said["line"] = line.into();
    }
    writeln!(truth, "{said}")?;
    Ok(())
}

/// A record, its macro, and the line of that.
macro_rules! logged {
    ($($call:tt)*) => {
        || {
            $($call)*;
            line!()
        }
    };
}

fn by_tracing(truth: &mut File, style: &Style) -> Result<(), Box<dyn Error>> {
    use tracing::{debug, error, info, warn};
    let none = || json!({});
    let fields = json!({ "attributes": {
        "order_id": "o-17", "attempt": 3, "delta": -5, "big": 9_007_199_254_740_993_i64, "ratio": 0.25, "paid": true,
    }});
    let ids = json!({ "trace_id": TRACE_ID, "span_id": SPAN_ID });
    let failed = json!({ "words": ["card declined"] });
    one(truth, style, "debug", "cache warmed", none(), logged!(debug!("cache warmed")))?;
    let placed = logged!(info!(order_id = "o-17", attempt = 3, delta = -5, big = 9_007_199_254_740_993_i64, ratio = 0.25, paid = true, "order placed"));
    one(truth, style, "info", "order placed", fields, placed)?;
    one(truth, style, "info", "größe ☃ 𝄞 done", none(), logged!(info!("größe ☃ 𝄞 done")))?;
    let quoted = r#"he said "no" \ twice"#;
    one(truth, style, "warn", quoted, none(), logged!(warn!("{quoted}")))?;
    let lines = "first line\nsecond line";
    one(truth, style, "warn", lines, none(), logged!(warn!("{lines}")))?;
    let paid = logged!(info!(trace_id = TRACE_ID, span_id = SPAN_ID, "order paid"));
    one(truth, style, "info", "order paid", ids, paid)?;
    let declined = std::io::Error::other("card declined");
    let error = logged!(error!(error = &declined as &dyn Error, "payment failed"));
    one(truth, style, "error", "payment failed", failed, error)
}

fn by_log(truth: &mut File, style: &Style) -> Result<(), Box<dyn Error>> {
    use log::{debug, error, info, warn};
    let none = || json!({});
    let ids = json!({ "trace_id": TRACE_ID, "span_id": SPAN_ID });
    let failed = json!({ "words": ["card declined"] });
    one(truth, style, "debug", "cache warmed", none(), logged!(debug!("cache warmed")))?;
    one(truth, style, "info", "größe ☃ 𝄞 done", none(), logged!(info!("größe ☃ 𝄞 done")))?;
    let quoted = r#"he said "no" \ twice"#;
    one(truth, style, "warn", quoted, none(), logged!(warn!("{quoted}")))?;
    let lines = "first line\nsecond line";
    one(truth, style, "warn", lines, none(), logged!(warn!("{lines}")))?;
    let paid = logged!(info!("order paid trace_id={TRACE_ID} span_id={SPAN_ID}"));
    one(truth, style, "info", "order paid", ids, paid)?;
    one(truth, style, "error", "payment failed", failed, logged!(error!("payment failed: card declined")))
}

/// Of a panic Rust writes where it was, and with `RUST_BACKTRACE` the stack.
#[inline(never)]
fn panics(truth: &mut File) -> Result<(), Box<dyn Error>> {
    let words = ["panicked at", "card declined", "stack backtrace:", "workloads_loggers_rust::panics"];
    let now = now()?;
    // When it is over nobody knows any more.
    let said = json!({
        "message": "card declined", "source": "stderr", "loose": true, "among": true, "words": words,
        "before": now, "after": now + 5_000_000_000,
    });
    writeln!(truth, "{said}")?;
    panic!("card declined");
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut truth = File::create(std::env::var("TRUTH")?)?;
    let name = std::env::args().nth(1).ok_or("which logger?")?;
    let text = Style { source: "stdout", resolution: 1_000, text: true, caller: false, raw: false };
    let builder = fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    match name.as_str() {
        "tracing" => builder.with_file(true).with_line_number(true).init(),
        "tracing-compact" => builder.compact().init(),
        "tracing-json" => builder.json().flatten_event(true).with_file(true).with_line_number(true).init(),
        "env_logger" => {
            env_logger::Builder::new().filter_level(log::LevelFilter::Debug).init();
            let style = Style { source: "stderr", resolution: 1_000_000_000, raw: true, ..text };
            return by_log(&mut truth, &style);
        }
        "panic" => return panics(&mut truth),
        _ => return Err(format!("no logger {name}").into()),
    }
    let json = name == "tracing-json";
    let style = Style { text: !json, caller: name != "tracing-compact", raw: !json, ..text };
    by_tracing(&mut truth, &style)
}
