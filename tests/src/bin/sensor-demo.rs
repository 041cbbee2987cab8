//! The services of `cargo xtask demo`, in one binary that goes by several names.

use std::process::ExitCode;

fn main() -> ExitCode {
    sensor_tests::demo::main()
}
