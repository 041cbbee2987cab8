//! Loads and attaches the programs of an engine, and says what they are to the kernel.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use aya::programs::{ProgramInfo, loaded_programs};
use sensor::capture::live::{Engine, EngineChoice, Live, LogOptions, LogsOf, Options};
use sensor::metrics::Metrics;
use sensor::process::{Selection, Trust};
use serde_json::json;

/// Says a line of JSON for each program: `name` (15 bytes of it), `insns` (those that the verifier
/// went through; null before Linux 5.16), `xlated` and `jited` (bytes), `load_ms` (from one program's
/// load to the next, so the last has what followed as well), and a last line with `attached`, how
/// many there are, and `open_ms`, which it took from reading BTF to the last attachment.
///
/// # Errors
/// The kernel's reason, with the verifier's last words, when it refuses one.
pub fn run(engine: Engine, mut out: impl Write) -> Result<()> {
    let selection = Selection::new([std::process::id()], &[], &[]).unwrap_or_default();
    let options = Options {
        selection,
        ports: vec![],
        cgroups: vec![],
        engine: EngineChoice::Only(engine),
        ring_bytes: 1 << 20,
        flows: None,
        event_loops: true,
        go_probes: true,
        trust: Trust::default(),
        logs: LogOptions { of: LogsOf::Traced, ..LogOptions::default() },
        verbose: false,
    };
    let before: BTreeSet<u32> =
        loaded_programs().filter_map(Result::ok).map(|info| info.id()).collect();
    let start = SystemTime::now();
    let live = Live::open(&options, &Arc::new(Metrics::default()))?;
    let end = SystemTime::now();
    let mut programs: Vec<ProgramInfo> = loaded_programs()
        .filter_map(Result::ok)
        .filter(|info| !before.contains(&info.id()))
        .collect();
    ensure!(!programs.is_empty(), "the engine {} has no programs", engine.name());
    programs.sort_by_key(ProgramInfo::id);
    let ends = programs.iter().skip(1).filter_map(ProgramInfo::loaded_at).chain([end]);
    let ends: Vec<SystemTime> = ends.collect();
    for (program, end) in programs.iter().zip(ends) {
        let took = program.loaded_at().and_then(|start| end.duration_since(start).ok());
        let line = json!({
            "name": program.name_as_str(),
            "insns": program.verified_instruction_count(),
            "xlated": program.size_translated(),
            "jited": program.size_jitted(),
            "load_ms": took.map(|took| took.as_secs_f64() * 1e3),
        });
        writeln!(out, "{line}")?;
    }
    let open = end.duration_since(start).unwrap_or_default();
    writeln!(
        out,
        "{}",
        json!({ "attached": programs.len(), "open_ms": open.as_secs_f64() * 1e3 })
    )?;
    drop(live);
    Ok(())
}
