//! What `cargo xtask bench --only log-formats` runs for the sensor: without the counts that `sensor-bench` has on memory.

use std::io;

use anyhow::Result;
use sensor_tests::line_formats;

fn main() -> Result<()> {
    line_formats::run(io::stdin().lock(), io::stdout().lock())
}
