//! What `cargo xtask bench --only lines` runs for the sensor: without the counts that `sensor-bench` has on memory.

use std::io;

use anyhow::Result;
use sensor_tests::lines_formats;

fn main() -> Result<()> {
    lines_formats::run(io::stdin().lock(), io::stdout().lock())
}
