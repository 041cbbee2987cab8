//! What the end-to-end tests share, and the programs they trace.

pub mod backends;
pub mod bpf;
pub mod calls;
pub mod demo;
pub mod edges;
pub mod guards;
pub mod heap;
pub mod hpack;
pub mod line_formats;
pub mod line_truth;
pub mod lines;
pub mod load;
pub mod loggers;
#[expect(
    missing_docs,
    clippy::cast_possible_truncation,
    reason = "it belongs to the sensor's unit tests"
)]
#[path = "../../sensor-user/src/process/golang/tests/made.rs"]
pub mod made;
pub mod namespaces;
pub mod process;
pub mod reopen;
pub mod sensor;
pub mod traces;
pub mod unit;
pub mod vm;
pub mod workloads;

use std::io::Write as _;
use std::net::TcpListener;

use anyhow::Result;

/// Says that something is not tested here, past the test harness, which keeps what passing tests
/// print to itself.
///
/// # Panics
/// In CI (`SENSOR_CI` is `1` or `CI` is `true`), where everything has to be tested.
pub fn skip(what: &str, reason: &str) {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    #[expect(clippy::panic, reason = "this is how a test fails")]
    if is("SENSOR_CI", "1") || is("CI", "true") {
        panic!("{what} must not be skipped in CI: {reason}");
    }
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {what}: {reason}\n");
}

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
