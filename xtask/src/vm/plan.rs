//! What is done in each virtual machine, and what has to come of it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::kernels::{ENGINES, Kernel};

/// A binary of `tests/tests`, and what of it is run for each engine: everything but `skip`, or only
/// `quick` where time matters. Left out is what an emulated processor is too slow for (wrk at a
/// rate), and what is not to be had there (node, Go, tcpdump).
pub(super) struct Suite {
    pub(super) binary: &'static str,
    skip: &'static [&'static str],
    quick: &'static [&'static str],
}

pub(super) const SUITES: [Suite; 13] = [
    Suite {
        binary: "http1_nginx",
        skip: &["wrk_at_a_rate", "wrk_at_saturation"],
        quick: &["files_by_sendfile"],
    },
    Suite { binary: "http1_python", skip: &[], quick: &["single_threaded"] },
    Suite { binary: "http1_bytes", skip: &[], quick: &["answers_of_every_form"] },
    Suite { binary: "http1_messages", skip: &[], quick: &[] },
    Suite { binary: "edges_ways", skip: &[], quick: &["every_way_in_and_out"] },
    Suite { binary: "edges_cuts", skip: &[], quick: &[] },
    Suite { binary: "edges_select", skip: &[], quick: &["a_cgroup"] },
    Suite {
        binary: "processes",
        skip: &[],
        quick: &["workers_of_a_process", "an_id_that_is_used_again"],
    },
    Suite { binary: "edges_hostile", skip: &[], quick: &["hostile_bytes"] },
    Suite { binary: "edges_load", skip: &[], quick: &["a_small_ring"] },
    Suite {
        binary: "causes",
        skip: &["node", "switched_off"],
        quick: &["asyncio", "nginx", "unix_connections"],
    },
    Suite {
        binary: "lines_capture",
        skip: &["more_than_there_is_room_for", "a_hundred_thousand_lines_a_second"],
        quick: &[
            "every_call",
            "what_is_a_log_and_what_is_none",
            "long_writes",
            "files_by_glob",
            "tee_is_no_second_source",
        ],
    },
    Suite {
        binary: "edges_replay",
        skip: &["packets_of_the_same_traffic"],
        quick: &["a_recording_of_the_same_traffic"],
    },
];

/// A command that is run in the machine.
pub(super) struct Step {
    /// What it is called in the report: its kind, and the engine where there is one.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its exit code, if all is well.
    pub(super) code: i64,
    run: Vec<String>,
    /// The step without whose success this one is pointless.
    needs: Option<String>,
    limit_seconds: u32,
}

/// What a step is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `sensor doctor`.
    Doctor,
    /// Every field of the kernel's structures, in its own type information.
    Fields,
    /// An engine that this kernel does not have.
    Refused(&'static str),
    /// The engine that is taken when none is named.
    Auto,
    /// Every program of an engine, loaded and attached.
    Programs(&'static str),
    /// A binary of `tests/tests`.
    Tests {
        /// Those for this one.
        engine: &'static str,
        /// As many have to run: a filter that fits nothing is no success.
        at_least: usize,
    },
}

/// Where things are in the machine.
pub(super) struct Places {
    pub(super) sensor: PathBuf,
    pub(super) init: PathBuf,
    /// Where a binary of `tests/tests` is.
    pub(super) tests: fn(&str) -> PathBuf,
}

/// The steps for a kernel.
pub(super) fn steps(kernel: &Kernel, places: &Places, quick: bool) -> Vec<Step> {
    let sensor = |args: &[&str]| words(&places.sensor, args);
    let mut steps = vec![
        Step {
            name: "doctor".into(),
            kind: Kind::Doctor,
            code: if kernel.engines.is_empty() { 3 } else { 0 },
            run: sensor(&["doctor"]),
            needs: None,
            limit_seconds: 300,
        },
        Step {
            name: "fields".into(),
            kind: Kind::Fields,
            code: 0,
            run: sensor(&["doctor", "--btf", "/sys/kernel/btf/vmlinux"]),
            needs: None,
            limit_seconds: 60,
        },
    ];
    for engine in ENGINES {
        if !kernel.has(engine) {
            steps.push(Step {
                name: format!("refused {engine}"),
                kind: Kind::Refused(engine),
                code: 3,
                run: sensor(&["run", "--engine", engine, "--pid", "1", "--for", "1s"]),
                needs: None,
                limit_seconds: 120,
            });
            continue;
        }
        let programs = format!("programs {engine}");
        steps.push(Step {
            name: programs.clone(),
            kind: Kind::Programs(engine),
            code: 0,
            run: words(&places.init, &["programs", engine]),
            needs: None,
            limit_seconds: 300,
        });
        for suite in &SUITES {
            let Some(filter) = suite.filter(engine, quick) else { continue };
            let mut run = words(&(places.tests)(suite.binary), &["--test-threads=1"]);
            run.extend(filter);
            steps.push(Step {
                name: format!("{} {engine}", suite.binary),
                kind: Kind::Tests { engine, at_least: if quick { suite.quick.len() } else { 1 } },
                code: 0,
                run,
                needs: Some(programs.clone()),
                limit_seconds: 900,
            });
        }
    }
    if let Some(best) = kernel.engines.first() {
        steps.push(Step {
            name: "auto".into(),
            kind: Kind::Auto,
            code: 0,
            run: sensor(&["run", "--pid", "1", "--for", "1s"]),
            needs: Some(format!("programs {best}")),
            limit_seconds: 120,
        });
    }
    steps
}

impl Suite {
    /// Arguments for the test harness; none where nothing of it is to be run.
    fn filter(&self, engine: &str, quick: bool) -> Option<Vec<String>> {
        let of = |name: &&str| format!("{engine}::{name}");
        if quick {
            let exact = ["--exact".to_owned()].into_iter();
            return (!self.quick.is_empty())
                .then(|| exact.chain(self.quick.iter().map(of)).collect());
        }
        let skip = self.skip.iter().flat_map(|name| ["--skip".to_owned(), of(name)]);
        Some([format!("{engine}::")].into_iter().chain(skip).collect())
    }
}

fn words(program: &Path, args: &[&str]) -> Vec<String> {
    let program = program.display().to_string();
    [program].into_iter().chain(args.iter().map(|&arg| arg.to_owned())).collect()
}

/// The plan as `sensor-vm-init` reads it.
pub(super) fn to_json(steps: &[Step], env: &[String], nonce: &str) -> Value {
    let steps: Vec<_> = steps
        .iter()
        .map(|step| {
            json!({
                "name": step.name,
                "run": step.run,
                "env": env,
                "needs": step.needs,
                "limit": step.limit_seconds,
            })
        })
        .collect();
    json!({ "nonce": nonce, "steps": steps })
}

#[cfg(test)]
mod tests {
    use super::super::kernels::chosen;
    use super::*;

    fn names(kernel: &str, quick: bool) -> Vec<String> {
        let places = Places { sensor: "s".into(), init: "i".into(), tests: |name| name.into() };
        let steps = steps(chosen(&[kernel]).unwrap()[0], &places, quick);
        steps.into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn an_engine_is_tested_or_has_to_be_refused() {
        for kernel in super::super::kernels::KERNELS {
            for quick in [false, true] {
                let names = names(kernel.name, quick);
                for engine in ENGINES {
                    let has = |kind: &str| names.contains(&format!("{kind} {engine}"));
                    assert_eq!(has("programs"), kernel.has(engine));
                    assert_eq!(has("refused"), !kernel.has(engine));
                    assert_eq!(has("http1_nginx"), kernel.has(engine));
                }
            }
        }
    }

    #[test]
    fn filters_are_of_one_engine() {
        for suite in SUITES {
            for quick in [false, true] {
                for word in suite.filter("socket", quick).unwrap_or_default() {
                    assert!(word.starts_with("--") || word.starts_with("socket::"), "{word}");
                }
            }
        }
    }
}
