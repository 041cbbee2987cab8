//! Costs of user space.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::file::{Figures, Sections};
use super::{Count, HELPER, helper};
use crate::run::{Cmd, which};
use crate::workspace;

/// Rounds over the corpus, of a short and of a long run: their difference has neither the start of
/// the process nor the making of the corpus in it.
const ROUNDS: [u32; 2] = [1, 5];

/// Allocations per exchange.
///
/// # Errors
/// The helper fails.
pub(super) fn allocations() -> Result<Count> {
    let said: Value = serde_json::from_str(&helper().arg("allocations").read()?)?;
    let ends = said.as_object().context("not an object")?;
    let figures: Option<Figures> =
        ends.iter().map(|(name, count)| Some((name.clone(), count.as_f64()?))).collect();
    let figures = figures.with_context(|| format!("the helper said {said}"))?;
    Ok(Count::Counted(Sections::from([("allocations".to_owned(), figures)])))
}

/// Instructions per KiB, of each decoder that the helper has.
///
/// # Errors
/// valgrind or the helper fails.
pub(super) fn instructions() -> Result<Count> {
    let Some(valgrind) = which("valgrind") else {
        return Ok(Count::NotHere(
            "there is no valgrind: `cargo xtask test --only provision` installs it on Debian"
                .into(),
        ));
    };
    let mut figures = Figures::new();
    for decoder in helper().arg("decoders").read()?.lines() {
        let [short, long] = ROUNDS;
        let short = callgrind(&valgrind, decoder, short)?;
        let long = callgrind(&valgrind, decoder, long)?;
        figures.insert(decoder.to_owned(), per_kib(short, long).context(decoder.to_owned())?);
    }
    Ok(Count::Counted(Sections::from([("callgrind".to_owned(), figures)])))
}

/// What a run did.
#[derive(Clone, Copy, Debug)]
struct Ran {
    bytes: u64,
    instructions: u64,
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
fn per_kib(short: Ran, long: Ran) -> Result<f64> {
    let bytes = long.bytes.checked_sub(short.bytes).filter(|bytes| *bytes > 0);
    let instructions = long.instructions.checked_sub(short.instructions);
    let (bytes, instructions) =
        bytes.zip(instructions).with_context(|| format!("no more than {short:?} in {long:?}"))?;
    Ok((instructions as f64 * 1024.0 / bytes as f64).round())
}

fn callgrind(valgrind: &PathBuf, decoder: &str, rounds: u32) -> Result<Ran> {
    let rounds = rounds.to_string();
    // Its profile is not wanted, its total is; callgrind says that on stderr, which it writes to this
    // file instead.
    let log = workspace::target().join(format!("guards-{decoder}-{rounds}.log"));
    let bytes = Cmd::new(valgrind)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", log.display()))
        .arg(workspace::release_binary(HELPER))
        .args(["decode", decoder, &rounds])
        .read()?;
    let said = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    let _ = std::fs::remove_file(&log);
    let Some(instructions) = collected(&said) else {
        bail!("callgrind does not say what it collected: {said}");
    };
    Ok(Ran { bytes: bytes.parse().with_context(|| format!("`{bytes}` bytes"))?, instructions })
}

/// From `==42== Collected : 4711`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Ran, collected, per_kib};

    #[test]
    fn callgrind_is_understood() {
        // As valgrind 3.19 prints it.
        let said = "==31== Events    : Ir\n==31== Collected : 1046576\n==31== \n\
                    ==31== I   refs:      1,046,576\n";
        assert_eq!(collected(said), Some(1_046_576));
        assert_eq!(collected("==31== Command: x\n"), None);
    }

    #[test]
    fn the_start_of_the_process_is_not_counted() {
        let short = Ran { bytes: 1024, instructions: 1_000_100 };
        let long = Ran { bytes: 5 * 1024, instructions: 1_000_500 };
        assert_eq!(per_kib(short, long).ok(), Some(100.0));
        assert!(per_kib(long, short).is_err());
        assert!(per_kib(long, long).is_err());
    }
}
