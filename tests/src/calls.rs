//! System calls that have nothing to do with sockets, and what one costs.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, Read as _, Seek as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::getppid;

/// Bytes of one read and one write.
const BLOCK: usize = 4096;
/// Blocks of the files that are copied.
const BLOCKS: u32 = 256;
/// Calls of one loop at most.
const CALLS: u32 = 100_000_000;

/// For each line of `orders` (`getppid N` or `copy N`) makes about N calls, and writes back what one
/// took, in nanoseconds. `dir` should be a tmpfs: what is measured is the call, not a disk.
///
/// # Errors
/// An order that is not understood, or files that cannot be written.
pub fn run(dir: &Path, orders: impl BufRead, mut report: impl Write) -> Result<()> {
    let mut files = Files::create(dir)?;
    for order in orders.lines() {
        let order = order?;
        let (what, calls) = order.split_once(' ').unwrap_or((&order, ""));
        let calls: u32 = calls.parse().with_context(|| format!("`{order}`"))?;
        if calls == 0 || calls > CALLS {
            bail!("1 to {CALLS} calls");
        }
        let (took, made) = match what {
            "getppid" => (parents(calls), calls),
            "copy" => files.copy(calls)?,
            _ => bail!("`{order}` is neither `getppid N` nor `copy N`"),
        };
        writeln!(report, "{}", took.as_secs_f64() * 1e9 / f64::from(made))?;
        report.flush()?;
    }
    Ok(())
}

/// `calls` times the shortest call there is: rustix keeps nothing in between.
fn parents(calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        std::hint::black_box(getppid());
    }
    start.elapsed()
}

/// A file and its copy, without names: nothing is left behind, however this ends.
struct Files {
    from: File,
    to: File,
}

impl Files {
    fn create(dir: &Path) -> Result<Self> {
        let mut from = nameless(dir, "from")?;
        let to = nameless(dir, "to")?;
        for _ in 0..BLOCKS {
            from.write_all(&[b'x'; BLOCK])?;
        }
        Ok(Self { from, to })
    }

    /// Copies blocks with `read` and `write` until it has made at least `calls` of the two. The two
    /// `lseek` after every 256 blocks are timed and not counted: 0.4 %.
    fn copy(&mut self, calls: u32) -> Result<(Duration, u32)> {
        let rounds = calls.div_ceil(2 * BLOCKS);
        let mut block = [0; BLOCK];
        let start = Instant::now();
        for _ in 0..rounds {
            self.from.rewind()?;
            self.to.rewind()?;
            for _ in 0..BLOCKS {
                let read = self.from.read(&mut block)?;
                let written = self.to.write(&block)?;
                if (read, written) != (BLOCK, BLOCK) {
                    bail!("a block of {BLOCK} bytes was read as {read}, written as {written}");
                }
            }
        }
        Ok((start.elapsed(), rounds * 2 * BLOCKS))
    }
}

fn nameless(dir: &Path, name: &str) -> Result<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!("sensor-calls-{}-{number}-{name}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    fs::remove_file(&path).with_context(|| path.display().to_string())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::run;

    fn said(orders: &str) -> anyhow::Result<Vec<f64>> {
        let mut report = Vec::new();
        run(&std::env::temp_dir(), orders.as_bytes(), &mut report)?;
        Ok(String::from_utf8(report)?.lines().map(|line| line.parse().expect("ns")).collect())
    }

    #[test]
    fn each_order_is_answered_with_a_time() {
        let times = said("getppid 1000\ncopy 1\ncopy 1000\n").expect("good orders");
        assert_eq!(times.len(), 3);
        // No system call takes less than a nanosecond.
        assert!(times.iter().all(|time| *time > 1.0), "{times:?}");
    }

    #[test]
    fn what_is_not_an_order_is_refused() {
        for bad in ["getppid", "getppid x", "getppid 0", "fork 1", "copy 4000000000", ""] {
            assert!(said(&format!("{bad}\n")).is_err(), "{bad}");
        }
    }
}
