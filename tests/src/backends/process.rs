//! A program that lives as long as the value.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A started backend and its directory. Both go away when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    directory: PathBuf,
}

/// A fresh directory for a backend's files.
pub(super) fn fresh_directory(name: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sensor-{name}-{}-{unique}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
    Ok(directory)
}

impl Process {
    /// Starts `command` and waits until it listens on all of `ready`. Owns `directory` from then.
    pub(super) fn start(
        command: &mut Command,
        directory: PathBuf,
        ready: &[SocketAddr],
    ) -> Result<Self> {
        let log = File::create(directory.join("log"))?;
        let child = command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let mut process = Self { child, directory };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ready.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended with {status}:\n{}", process.log());
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not listen on {ready:?}:\n{}", process.log());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it wrote to its standard output and error.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
