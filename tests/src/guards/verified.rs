//! Instructions that this kernel's verifier went through for each BPF program, of each engine. Its
//! limit is a million, and how far it goes depends on its version.

use std::fs;

use anyhow::{Context as _, Result};
use sensor::capture::live::programs::{Engine, Kernel, Sizes, load};
use sensor_ebpf::abi::{Config, lines, mode};
use serde_json::{Map, Value, json};

/// Loads the programs, attaches nothing, and says what the verifier did: `kernel` (its release) and
/// `engines`, an object of objects by engine and program. An engine that this kernel cannot run is
/// not there; nor is a program whose count the kernel does not tell (before 5.16).
///
/// # Errors
/// A program is refused, or its privileges do not suffice.
pub fn measure() -> Result<Value> {
    let kernel = Kernel::read()?;
    // All that can be asked for: what is not, the verifier leaves out.
    let config = Config {
        mode: mode::UNDECIDED,
        port_count: 1,
        cgroup_count: 1,
        causes: 1,
        lines: lines::CHOSEN,
        line_files: 1,
        ..Config::ALL
    };
    let sizes = Sizes { ring_bytes: 64 * 1024, flows: 1024 };
    let mut engines = Map::new();
    for engine in [Engine::Socket, Engine::Syscall] {
        if kernel.supports(engine).is_err() {
            continue;
        }
        let ebpf = load(&kernel, engine, &config, &sizes, false)?;
        let mut counts = Map::new();
        for (name, program) in ebpf.programs() {
            // One of the other engine is not loaded.
            let Ok(info) = program.info() else { continue };
            if let Some(count) = info.verified_instruction_count() {
                counts.insert(name.to_owned(), count.into());
            }
        }
        engines.insert(engine.name().to_owned(), counts.into());
    }
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's release")?;
    Ok(json!({ "kernel": release.trim(), "engines": engines }))
}
