//! `lint`: what needs no root, no kernel and no network of services.

use anyhow::Result;

use crate::provision;
use crate::run::Cmd;

/// `lint` has no options.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Formatting, lints, documentation, dependencies; stops at the first that fails.
pub(crate) fn run(_: &Args) -> Result<()> {
    format()?;
    clippy()?;
    docs()?;
    dependencies()
}

/// Formatting.
pub(crate) fn format() -> Result<()> {
    Cmd::cargo().args(["fmt", "--all", "--check"]).run()
}

/// Lints of every package and target.
pub(crate) fn clippy() -> Result<()> {
    // By itself, the sensor has to do without the features that tests ask of the same crates.
    Cmd::cargo().args(["check", "--locked", "--package", "sensor-user", "--quiet"]).run()?;
    Cmd::cargo()
        .args(["clippy", "--locked", "--workspace", "--all-targets", "--quiet"])
        .args(["--", "--deny", "warnings"])
        .run()
}

/// Documentation, private items included: the maintainers read those.
pub(crate) fn docs() -> Result<()> {
    Cmd::cargo()
        .args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"])
        .arg("--quiet")
        // Links to private items lead somewhere: those are documented here.
        .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")
        .run()
}

/// Licences, sources and banned crates, as `deny.toml` has them.
pub(crate) fn dependencies() -> Result<()> {
    Cmd::new(provision::cargo_deny()?)
        .args(["--locked", "--log-level", "warn"])
        .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .run()
}
