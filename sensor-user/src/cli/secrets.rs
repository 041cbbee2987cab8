//! Secrets in files: each variable that may hold one has a twin, with `_FILE` behind its name, that
//! names a file with the value. A file can be readable by one user alone; the environment is in
//! `/proc`, in unit files and in the output of `systemctl show`. systemd's `LoadCredential=` and
//! secrets of containers are such files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::config::{Env, Problem};

/// The variables that may hold secrets: endpoints do where a backend takes its key in the URL.
pub(super) const VARIABLES: [&str; 10] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "SENSOR_LOKI_BEARER_TOKEN",
    "SENSOR_LOKI_ENDPOINT",
    "SENSOR_LOKI_PASSWORD",
    "SENSOR_REDACT_KEY",
];

/// More than any of them has; a device has no end.
const SIZE_MAX: u64 = 64 << 10;

/// What the files say. Not `Debug`.
#[derive(Default)]
pub(super) struct Secrets {
    values: Vec<(&'static str, String)>,
    /// What is wrong with them, in no one's words but ours.
    pub(super) problems: Vec<Problem>,
    /// What is odd and still usable.
    pub(super) notes: Vec<String>,
}

impl Secrets {
    /// Reads the files that the environment names, once.
    pub(super) fn read(env: Env<'_>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let mut secrets = Self::default();
        for name in VARIABLES {
            let setting = format!("{name}_FILE");
            let Some(path) = set(&setting) else { continue };
            let read = match set(name) {
                Some(_) => Err(format!("{name} not to be set too: keep one of them")),
                None => open(Path::new(&path)),
            };
            match read {
                Ok((value, mode)) => {
                    secrets.values.push((name, value));
                    // A group may have been chosen for it; all users hardly were.
                    if mode & 0o007 != 0 {
                        secrets.notes.push(format!(
                            "{setting}: every user of this host has access to {path} (mode \
                             {mode:04o}): chmod o-rwx {path}"
                        ));
                    }
                }
                Err(expected) => {
                    secrets.problems.push(Problem::Value { setting, value: path, expected });
                }
            }
        }
        secrets
    }

    /// The value of a variable that a file has.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

/// The text of a file without the new line at its end, and the file's mode.
fn open(path: &Path) -> Result<(String, u32), String> {
    let unreadable = |error: io::Error| format!("a file that can be read ({error})");
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(format!("a file of at most {} KiB", SIZE_MAX >> 10));
    }
    // What is wrong with the bytes is not said: they are secret.
    let mut text = String::from_utf8(bytes).map_err(|_| "a file of UTF-8 text".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.trim().is_empty() {
        Err("a file that is not empty".to_owned())
    } else {
        Ok((text, mode))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::PathBuf;

    use super::*;

    /// A directory of this test, which is removed with it.
    struct Files(PathBuf);

    impl Files {
        fn new(test: &str) -> Self {
            let place = std::env::temp_dir().join(format!("sensor-{test}-{}", std::process::id()));
            fs::create_dir(&place).unwrap();
            Self(place)
        }

        fn with(&self, name: &str, mode: u32, content: &[u8]) -> String {
            let path = self.0.join(name);
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(&path).unwrap();
            io::Write::write_all(&mut file, content).unwrap();
            // Whatever the umask is.
            file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(env: &[(&str, &str)]) -> Secrets {
        let env: HashMap<_, _> = env.iter().copied().collect();
        Secrets::read(&|name| env.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn every_secret_may_be_in_a_file() {
        let files = Files::new("every-secret");
        for (n, name) in VARIABLES.into_iter().enumerate() {
            let path = files.with(&n.to_string(), 0o400, format!("value {n}\n").as_bytes());
            let secrets = read(&[(&format!("{name}_FILE"), &path)]);
            assert_eq!(secrets.get(name), Some(format!("value {n}")));
            assert!(secrets.problems.is_empty() && secrets.notes.is_empty(), "{name}");
            assert_eq!(secrets.get("OTEL_EXPORTER_OTLP_PROTOCOL"), None);
        }
        // One new line is cut off, of either kind, and nothing else.
        for (n, (content, value)) in
            [("a=b", "a=b"), ("a=b\r\n", "a=b"), ("a=b\n\n", "a=b\n"), (" a=b ", " a=b ")]
                .into_iter()
                .enumerate()
        {
            let path = files.with(&format!("end-{n}"), 0o400, content.as_bytes());
            let secrets = read(&[("OTEL_EXPORTER_OTLP_HEADERS_FILE", &path)]);
            assert_eq!(secrets.get("OTEL_EXPORTER_OTLP_HEADERS").as_deref(), Some(value));
        }
        assert!(read(&[("SENSOR_REDACT_KEY_FILE", "")]).problems.is_empty());
    }

    #[test]
    fn what_is_wrong_names_variable_and_file_and_no_secret() {
        let files = Files::new("wrong-secrets");
        let fine = files.with("fine", 0o400, b"topsecret");
        let empty = files.with("empty", 0o400, b" \n");
        let binary = files.with("binary", 0o400, b"topsecret\xff");
        let long = files.with("long", 0o400, &vec![b'x'; (64 << 10) + 1]);
        let whole = files.with("whole", 0o400, &vec![b'x'; 64 << 10]);
        let missing = files.0.join("missing").to_str().unwrap().to_owned();
        for (path, own, expected) in [
            (
                &missing,
                "",
                "expected a file that can be read (No such file or directory (os error 2))",
            ),
            (
                &files.0.to_str().unwrap().to_owned(),
                "",
                "expected a file that can be read (Is a directory (os error 21))",
            ),
            (&"/dev/zero".to_owned(), "", "expected a file of at most 64 KiB"),
            (&long, "", "expected a file of at most 64 KiB"),
            (&empty, "", "expected a file that is not empty"),
            (&binary, "", "expected a file of UTF-8 text"),
            (
                &fine,
                "topsecret",
                "expected SENSOR_LOKI_PASSWORD not to be set too: keep one of them",
            ),
        ] {
            let env = [("SENSOR_LOKI_PASSWORD", own), ("SENSOR_LOKI_PASSWORD_FILE", path)];
            let secrets = read(&env);
            let [problem] = secrets.problems.as_slice() else { panic!("{path}: one problem") };
            let said = problem.to_string();
            assert_eq!(said, format!("SENSOR_LOKI_PASSWORD_FILE {path:?}: {expected}"));
            assert!(!said.contains("topsecret"));
            assert_eq!(secrets.get("SENSOR_LOKI_PASSWORD"), None);
        }
        assert!(read(&[("SENSOR_LOKI_PASSWORD_FILE", &whole)]).problems.is_empty());
    }

    #[test]
    fn a_file_that_all_may_read_is_noted() {
        let files = Files::new("open-secrets");
        for (mode, noted) in
            [(0o600, false), (0o440, false), (0o640, false), (0o644, true), (0o602, true)]
        {
            let path = files.with(&format!("{mode:o}"), mode, b"k");
            let secrets = read(&[("SENSOR_LOKI_BEARER_TOKEN_FILE", &path)]);
            assert_eq!(secrets.notes.len(), usize::from(noted), "{mode:o}");
            assert_eq!(secrets.get("SENSOR_LOKI_BEARER_TOKEN").as_deref(), Some("k"));
            for note in secrets.notes {
                assert!(
                    note.contains("SENSOR_LOKI_BEARER_TOKEN_FILE") && note.contains(&path),
                    "{note}"
                );
            }
        }
    }
}
