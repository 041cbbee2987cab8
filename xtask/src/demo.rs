//! `demo`: a small shop of five processes, and what the sensor sees of it.

mod calls;
mod judge;
mod lines;
mod sensor;
mod shop;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{time, ui, workspace};
use judge::{Json, Judge, Names};
use sensor::{Output, Sensor};
use shop::Shop;

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long it runs
    #[arg(long = "for", value_name = "DURATION", default_value = "20s", value_parser = time::parse)]
    duration: Duration,
    /// Run on until Ctrl-C
    #[arg(long, conflicts_with = "duration")]
    keep: bool,
    /// Requests a second from the shop's customers
    #[arg(long, value_name = "N", default_value_t = 3)]
    rate: u32,
}

/// Builds, runs and shows it.
///
/// # Errors
/// Something does not build or start, or the sensor saw no exchange.
pub(crate) fn run(args: &Args) -> Result<()> {
    let duration = (!args.keep).then_some(args.duration);
    watch(duration, args.rate, Output::Tree, &mut Names::default())
}

/// The demo as a test: JSON lines, every service in a joined trace, every gRPC call as it was logged, and the
/// services' lines below their requests.
pub(crate) fn smoke(duration: Duration) -> Result<()> {
    watch(Some(duration), 20, Output::Json, &mut Json::default())
}

fn watch(
    duration: Option<Duration>,
    rate: u32,
    output: Output,
    judge: &mut dyn Judge,
) -> Result<()> {
    workspace::build()?;
    let mut shop = Shop::start(rate)?;
    ui::line(format_args!(
        "\nA shop of five processes is open: shop-client -> gateway -> orders -> inventory, payments (gRPC).\n\
         HTTP/1.1 and HTTP/2 on 127.0.0.1, {rate} requests a second; their own logs are {}/*.log.\n\
         The sensor traces process {} and its children, and nothing else.{}\n",
        shop.dir().display(),
        shop.pid(),
        if duration.is_none() { " Ctrl-C ends it." } else { "" },
    ));
    let mut sensor = Sensor::start(shop.pid(), duration, output)?;
    let ended = sensor.follow(judge, || shop.check())?;
    let dir = shop.dir().to_owned();
    drop(shop);
    let log = |service: &str| {
        let log = dir.join(format!("{service}.log"));
        fs::read_to_string(&log).with_context(|| format!("no {}", log.display()))
    };
    if !ended.success() {
        bail!("the sensor failed: {ended}; {}", doctor());
    }
    judge.verdict(&log).map_err(|error| anyhow!("{error:#}; {}", doctor()))
}

fn doctor() -> String {
    format!(
        "`sudo {} doctor` says what this kernel and these privileges allow",
        workspace::release_binary("sensor").display()
    )
}
