//! The traced services. They are one process tree, and end when this end of a pipe closes.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// The services that must be seen.
pub(super) const SERVICES: [&str; 5] =
    ["gateway", "inventory", "orders", "payments", "shop-client"];

/// How long the services may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running shop; closed when this is dropped.
pub(super) struct Shop {
    root: Child,
    dir: PathBuf,
}

impl Shop {
    pub(super) fn start(rate: u32) -> Result<Self> {
        let dir = workspace::target().join("demo");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let program = workspace::release_binary("sensor-demo");
        let mut root = Command::new(&program)
            .arg(&dir)
            .arg(rate.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C ends the sensor first, then the shop
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = root.stdout.take();
        let shop = Self { root, dir };
        let mut line = String::new();
        // Ends with the process, which has a time limit of its own for each service.
        BufReader::new(stdout.context("no pipe")?).read_line(&mut line)?;
        if line != "ready\n" {
            bail!("the shop does not open; {}/*.log may say why", shop.dir.display());
        }
        Ok(shop)
    }

    pub(super) fn pid(&self) -> u32 {
        self.root.id()
    }

    /// Where the services' logs are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// # Errors
    /// A service has ended on its own.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.root.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the shop closed by itself: {status}"),
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.root.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.root.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Its children see their own pipes close.
        let _ = self.root.kill();
        let _ = self.root.wait();
    }
}
