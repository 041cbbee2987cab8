//! Running other programs: every command is printed before it runs, in a form that can be pasted
//! into a shell, and a failing one says which it was.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{ui, workspace};

/// rustc's flags with a separator that no path has; shown as RUSTFLAGS, which a shell can be told.
const ENCODED_FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
const SEPARATOR: &str = "\x1f";

/// A command, run in the root of the workspace unless told otherwise.
pub(crate) struct Cmd {
    inner: Command,
    env: Vec<(OsString, OsString)>,
}

impl Cmd {
    /// `program`, found on the PATH unless it is a path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = Command::new(program);
        inner.current_dir(workspace::root());
        Self { inner, env: Vec::new() }
    }

    /// The cargo that runs us.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.inner.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.inner.args(args);
        self
    }

    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(&key, &value);
        self.env.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Flags for rustc, and no others.
    pub(crate) fn rustflags<S: AsRef<str>>(self, flags: &[S]) -> Self {
        let flags: Vec<&str> = flags.iter().map(AsRef::as_ref).collect();
        self.env(ENCODED_FLAGS, flags.join(SEPARATOR)).env_remove("RUSTFLAGS")
    }

    pub(crate) fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.inner.env_remove(key);
        self
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// Runs it; its output goes where ours goes.
    ///
    /// # Errors
    /// It cannot be started, or it ends with anything but success.
    pub(crate) fn run(mut self) -> Result<()> {
        let shown = self.show();
        ui::line(format_args!("$ {shown}"));
        let status = self.inner.status().with_context(|| format!("cannot start `{shown}`"))?;
        if !status.success() {
            bail!("`{shown}` failed: {status}");
        }
        Ok(())
    }

    /// Runs it without printing anything, and returns its standard output without the last newline.
    ///
    /// # Errors
    /// As [`Cmd::run`], and when the output is not UTF-8; the error carries what it said.
    pub(crate) fn read(mut self) -> Result<String> {
        let shown = self.show();
        let output = self
            .inner
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{shown}`"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{shown}` failed: {}: {}", output.status, said.trim_end());
        }
        let text = String::from_utf8(output.stdout)
            .with_context(|| format!("`{shown}` did not print text"))?;
        Ok(text.trim_end().to_owned())
    }

    fn show(&self) -> String {
        let env = self.env.iter().map(|(key, value)| {
            let (mut key, value) = (key.to_string_lossy(), value.to_string_lossy());
            let spaced = value.replace(SEPARATOR, " ");
            if key == ENCODED_FLAGS {
                key = "RUSTFLAGS".into();
            }
            Cow::Owned(format!("{key}={}", quote(spaced.as_ref())))
        });
        let words = std::iter::once(self.inner.get_program()).chain(self.inner.get_args());
        env.chain(words.map(quote)).collect::<Vec<_>>().join(" ")
    }
}

/// The program `name` on the PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A word as a POSIX shell reads it.
fn quote(word: &OsStr) -> Cow<'_, str> {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::quote;
    use std::ffi::OsStr;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        for (word, shown) in [
            ("--target-dir=target/bpf", "--target-dir=target/bpf"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("rust-src=1.95.0*", "'rust-src=1.95.0*'"),
        ] {
            assert_eq!(quote(OsStr::new(word)), shown);
        }
    }
}
