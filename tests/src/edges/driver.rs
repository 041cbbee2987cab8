//! The test's side of the talk with `sensor-workload`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::Marker;

/// How long a scene may take from one place to the next, on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A running workload, which waits where its scene says `at`. Killed when dropped.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Vec<(String, String)>,
}

impl Workload {
    /// Starts a scene. `program` is `env!("CARGO_BIN_EXE_sensor-workload")`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(program: &str, scene: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(scene))
    }

    /// Starts a scene with more than arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let stdin = child.stdin.take();
        Self { child, stdin, lines, said: Vec::new() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The same, as an argument.
    #[must_use]
    pub fn pid_text(&self) -> String {
        self.pid().to_string()
    }

    /// Waits until it is there.
    ///
    /// # Panics
    /// When it does not come there.
    pub fn wait_at(&mut self, place: &str) {
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else {
                panic!(
                    "it does not come to {place:?}: {:?}, {:?}",
                    self.child.try_wait(),
                    self.said
                );
            };
            let (name, rest) = line.split_once(' ').unwrap_or((&line, ""));
            self.said.push((name.to_owned(), rest.to_owned()));
            if name == "at" && rest == place {
                return;
            }
        }
    }

    /// Waits for what it says, wherever it is; none when it comes to a place first.
    ///
    /// # Panics
    /// When it says nothing.
    pub fn wait_for(&mut self, wanted: &str) -> Option<String> {
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else {
                panic!("it does not say {wanted:?}: {:?}", self.child.try_wait());
            };
            let (name, rest) = line.split_once(' ').unwrap_or((&line, ""));
            self.said.push((name.to_owned(), rest.to_owned()));
            if name == wanted {
                return Some(rest.to_owned());
            }
            if name == "at" {
                return None;
            }
        }
    }

    /// Lets it go on from where it waits.
    ///
    /// # Panics
    /// When it is gone.
    pub fn go(&mut self) {
        let gone = self.stdin.as_mut().is_none_or(|stdin| writeln!(stdin, "go").is_err());
        assert!(!gone, "it is gone: {:?}, {:?}", self.child.try_wait(), self.said);
    }

    /// Its scene, from `start` to `end`.
    ///
    /// # Panics
    /// When it breaks off.
    pub fn play(&mut self) {
        self.go();
        self.wait_at("end");
    }

    /// What it has said under a name, in order.
    #[must_use]
    pub fn said(&self, name: &str) -> Vec<&str> {
        self.said.iter().filter(|(said, _)| said == name).map(|(_, rest)| rest.as_str()).collect()
    }

    /// The markers of all that it has said under a name; other words are left out.
    #[must_use]
    pub fn markers(&self, name: &str) -> Vec<Marker> {
        let words = self.said(name).into_iter().flat_map(str::split_whitespace);
        words.filter_map(|word| word.parse().ok().map(Marker)).collect()
    }

    /// The markers of `range FIRST LAST`.
    ///
    /// # Panics
    /// When it did not say so.
    #[must_use]
    pub fn range(&self) -> Vec<Marker> {
        match self.markers("range")[..] {
            [first, last] => (first.0..=last.0).map(Marker).collect(),
            _ => panic!("no range in {:?}", self.said),
        }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
