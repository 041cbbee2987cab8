//! The steps of `test`, in their order: cheap ones first, so that a slip shows early.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::run::Cmd;
use crate::{build_ebpf, demo, fuzz, guards, lint, provision, vm, workspace};

/// One check.
pub(super) struct Step {
    /// What `--only` and `--skip` call it.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Why it cannot be run here, if so.
    pub(super) cannot: fn() -> Option<String>,
    /// Runs it; the argument says whether CI does.
    pub(super) run: fn(bool) -> Result<()>,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "provision",
        about: "the programs the other steps need",
        cannot: provision::cannot_install,
        run: |_| provision::install(),
    },
    Step { name: "fmt", about: "formatting", cannot: anywhere, run: |_| lint::format() },
    Step {
        name: "clippy",
        about: "lints, warnings denied",
        cannot: anywhere,
        run: |_| lint::clippy(),
    },
    Step {
        name: "doc",
        about: "documentation, warnings denied",
        cannot: anywhere,
        run: |_| lint::docs(),
    },
    Step {
        name: "deny",
        about: "licences, sources and bans of the dependencies",
        cannot: anywhere,
        run: |_| lint::dependencies(),
    },
    Step { name: "unit", about: "unit tests", cannot: anywhere, run: |_| unit() },
    Step {
        name: "build-ebpf",
        about: "the checked-in BPF object is what its source builds to",
        cannot: anywhere,
        run: |_| build_ebpf::check(),
    },
    Step {
        name: "guards",
        about: "counted costs: BPF instructions, allocations, instructions of the decoders",
        cannot: anywhere,
        run: guards::all,
    },
    Step {
        name: "e2e",
        about: "end-to-end tests on real programs",
        cannot: no_kernel,
        run: end_to_end,
    },
    Step {
        name: "vm",
        about: "end-to-end tests on an old and a new kernel, in virtual machines",
        cannot: vm::cannot,
        run: |_| vm::in_ci(),
    },
    Step {
        name: "demo",
        about: "the demo, short",
        cannot: no_kernel,
        run: |_| demo::smoke(Duration::from_secs(5)),
    },
    Step {
        name: "fuzz",
        about: "each fuzz target for a few seconds",
        cannot: anywhere,
        run: |_| fuzz::all(Duration::from_secs(5)),
    },
];

fn anywhere() -> Option<String> {
    None
}

/// What keeps the sensor from tracing anything here.
fn no_kernel() -> Option<String> {
    if !provision::is_root() {
        Some("needs root: sudo -E env PATH=\"$PATH\" cargo xtask test --only …".to_owned())
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        Some("this kernel has no BTF (/sys/kernel/btf/vmlinux)".to_owned())
    } else {
        None
    }
}

/// Everything but the end-to-end tests.
fn unit() -> Result<()> {
    Cmd::cargo()
        .args(["test", "--locked", "--workspace", "--exclude", "sensor-tests", "--quiet"])
        .run()
}

/// The tests find the binary by `SENSOR`; `SENSOR_CI` makes a skip within them a failure. They load
/// the machine and measure time, so few at once.
fn end_to_end(ci: bool) -> Result<()> {
    workspace::build()?;
    let mut tests = Cmd::cargo()
        .args(["test", "--locked", "--release", "--package", "sensor-tests", "--no-fail-fast"])
        .env("SENSOR", workspace::release_binary("sensor"));
    if ci {
        tests = tests.env("SENSOR_CI", "1");
    }
    tests.args(["--", "--test-threads=2"]).run()
}
