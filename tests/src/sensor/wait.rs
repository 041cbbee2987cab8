//! Waiting for the sensor: until it stands still, has nothing to do, or has said enough.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{STOP, Sensor, Signal, SpanJson, lock};
use crate::process;

/// How long it has to say nothing for it to be taken that nothing more comes.
const NO_MORE: Duration = Duration::from_secs(3);

impl Sensor {
    /// Stops it, until [`Signal::CONT`]. Returns when it stands still.
    ///
    /// # Panics
    /// When it is gone.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let pid = rustix::process::Pid::from_child(&self.child);
        // Told when the last of its threads has stopped.
        match rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => {}
            other => panic!("it does not stop but {other:?}:\n{}", self.stderr()),
        }
    }

    /// Waits until it has nothing to do.
    ///
    /// # Panics
    /// When it has something to do still after `timeout`.
    pub fn wait_until_quiet(&self, timeout: Duration) {
        process::wait_until_quiet(self.pid(), timeout);
    }

    /// Runs of its programs that the kernel has left out until now (`bpf_prog_show_fdinfo`,
    /// kernel/bpf/syscall.c). Some may be counted twice.
    fn runs_missed(&self) -> u64 {
        let files = std::fs::read_dir(format!("/proc/{}/fdinfo", self.pid()));
        let texts = files.into_iter().flatten().flatten();
        texts
            .filter_map(|file| std::fs::read_to_string(file.path()).ok())
            .filter_map(|text| {
                let missed =
                    text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
                missed.trim().parse::<u64>().ok()
            })
            .sum()
    }

    /// Waits until there are `n` spans that `wanted` is true of, and gives them. There may be fewer
    /// where the kernel has left out runs: then those that are there when no more come.
    ///
    /// # Panics
    /// When there are fewer after `timeout` for no such reason, with all that there are.
    #[must_use]
    pub fn wait_for(
        &self,
        n: usize,
        wanted: impl Fn(&SpanJson) -> bool,
        timeout: Duration,
    ) -> Vec<SpanJson> {
        let deadline = Instant::now() + timeout;
        let mut found = Vec::new();
        let mut read = 0;
        let mut last = Instant::now();
        let mut said = lock(&self.heard);
        loop {
            said.read();
            if said.spans.len() > read {
                last = Instant::now();
            }
            found.extend(said.spans[read..].iter().filter(|&span| wanted(span)).cloned());
            read = said.spans.len();
            if found.len() >= n {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || said.ended {
                // Its counters may say why.
                drop(said);
                let summary = self.last_words();
                panic!(
                    "{} of {n} spans after {timeout:?}: {summary:#?}\nall:\n{:#?}\n{}",
                    found.len(),
                    lock(&self.heard).spans,
                    self.stderr(),
                );
            }
            if last.elapsed() >= NO_MORE && self.runs_missed() > 0 {
                return found;
            }
            said = match self.heard.1.wait_timeout(said, left.min(NO_MORE)) {
                Ok((said, _)) => said,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits until there are `n` spans, or none has come for `quiet`.
    pub fn wait_while_coming(&self, n: usize, quiet: Duration) {
        let mut said = lock(&self.heard);
        let (mut seen, mut last) = (0, Instant::now());
        loop {
            said.read();
            if said.spans.len() > seen {
                (seen, last) = (said.spans.len(), Instant::now());
            }
            let left = quiet.saturating_sub(last.elapsed());
            if seen >= n || left.is_zero() || said.ended {
                return;
            }
            said = match self.heard.1.wait_timeout(said, left) {
                Ok((said, _)) => said,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits until there are `spans` spans and `logs` records of logs, or none of both has come for `quiet`.
    pub fn wait_while_logging(&self, spans: usize, logs: usize, quiet: Duration) {
        let mut said = lock(&self.heard);
        let (mut seen, mut last) = (0, Instant::now());
        loop {
            said.read();
            if said.spans.len() + said.logs.len() > seen {
                (seen, last) = (said.spans.len() + said.logs.len(), Instant::now());
            }
            let left = quiet.saturating_sub(last.elapsed());
            let enough = said.spans.len() >= spans && said.logs.len() >= logs;
            if enough || left.is_zero() || said.ended {
                return;
            }
            said = match self.heard.1.wait_timeout(said, left) {
                Ok((said, _)) => said,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Ends it as Ctrl-C does; its summary, if there is one soon.
    fn last_words(&self) -> Option<Value> {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            Signal::INT,
        );
        let said = lock(&self.heard);
        let waited = self.heard.1.wait_timeout_while(said, STOP, |said| !said.ended);
        let (mut said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        said.read();
        said.summary.clone()
    }
}
