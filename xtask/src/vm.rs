//! `vm`: the sensor and its end-to-end tests on Debian's kernels, in virtual machines. They are
//! emulated where there is no KVM: what works can be told there, what it costs cannot.

mod boot;
mod cpio;
mod debian;
mod fetch;
mod guest;
mod kernels;
mod plan;
mod report;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{time, ui};
use boot::Machine;
use fetch::{Image, Store, home};
use kernels::{KERNELS, Kernel};
use report::Outcome;

/// The longest that a machine may be on. Emulated, a full run takes a tenth of it, and more where others
/// want the processors too.
const LIMIT: Duration = Duration::from_secs(80 * 60);

/// Options of `vm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which kernels, as --list names them; all of them without any
    #[arg(value_name = "KERNEL")]
    kernels: Vec<String>,
    /// List the kernels
    #[arg(long)]
    list: bool,
    /// Machines that are on at a time; each has two processors
    #[arg(long, value_name = "N", default_value_t = jobs(), value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// One or two tests of each kind only, as CI runs it
    #[arg(long)]
    quick: bool,
    /// Keep the initramfs, with which boot.sh beside the logs boots a machine by hand
    #[arg(long)]
    keep: bool,
}

/// A machine is busy with one thread most of the time.
fn jobs() -> u16 {
    let here = thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(here).unwrap_or(u16::MAX).min(4)
}

/// Why no machine can be made here, if so.
pub(crate) fn cannot() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the kernels are of x86-64, and what is tested in them is built here".into());
    }
    debian::cannot()
}

/// An old kernel and a new one, and the quick tests.
pub(crate) fn in_ci() -> Result<()> {
    let kernels = kernels::IN_CI.map(str::to_owned).to_vec();
    run(&Args { kernels, list: false, jobs: jobs(), quick: true, keep: false })
}

/// Boots the chosen kernels, and prints the tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        list();
        return Ok(());
    }
    if let Some(why) = cannot() {
        bail!("no virtual machines here: {why}");
    }
    let chosen = kernels::chosen(&args.kernels)?;
    let home = home();
    let mut store = Store::new();
    let mut images = Vec::new();
    for kernel in chosen {
        images.push((kernel, store.kernel(kernel)?));
    }
    let qemu = store.qemu()?;
    let initramfs = guest::pack(&home, &store.busybox()?)?;
    let machine = Machine { qemu, initramfs, processors: 2, limit: LIMIT, keep: args.keep };
    let start = Instant::now();
    let outcomes = boot_all(&machine, &images, args)?;
    report::tables(&outcomes);
    report::write_json(&home.join("result.json"), &outcomes)?;
    outcomes.iter().for_each(Outcome::explain);
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.complaints().is_empty())
        .map(|outcome| outcome.kernel.name)
        .collect();
    let took = time::show(start.elapsed());
    ui::line(format_args!("\n{} kernels in {took}", outcomes.len()));
    if !failed.is_empty() {
        bail!("not as it should be: {} (why is above)", failed.join(", "));
    }
    Ok(())
}

fn list() {
    for kernel in &KERNELS {
        let cached = fetch::cached(&home().join("kernels").join(kernel.name));
        ui::line(format_args!(
            "{:<6} {:<20} {:<16} {}",
            kernel.name,
            kernel.suite,
            kernel.engines.join(", "),
            cached.map_or("not fetched yet".to_owned(), |image| image.package),
        ));
    }
}

/// Boots them, some at a time, and returns what came of each in the order of `images`.
fn boot_all(
    machine: &Machine,
    images: &[(&'static Kernel, Image)],
    args: &Args,
) -> Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..usize::from(args.jobs).min(images.len()) {
            scope.spawn(|| {
                while let Some((kernel, image)) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = boot_one(machine, kernel, &image.path, args.quick);
                    if let Ok(mut done) = done.lock() {
                        done.push((kernel.name, outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    let place = |name: &str| images.iter().position(|(kernel, _)| kernel.name == name);
    done.sort_by_key(|(name, _)| place(name));
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Boots one, and once more where it failed for a reason that is the emulation's.
fn boot_one(
    machine: &Machine,
    kernel: &'static Kernel,
    image: &Path,
    quick: bool,
) -> Result<Outcome> {
    let dir = home().join("runs").join(kernel.name);
    let places = guest::places();
    let env = guest::environment(&places);
    let mut retries = 0;
    loop {
        let _ = fs::remove_dir_all(&dir);
        let steps = plan::steps(kernel, &places, quick);
        let boot = machine.boot((kernel.name, image), steps, &env, &dir)?;
        if retries == 0 && boot.worth_a_retry(&report::console(&dir)) {
            ui::line(format_args!("{:<5} failed as emulated kernels do; once more", kernel.name));
            retries += 1;
            continue;
        }
        return Ok(Outcome { kernel, boot, retries, dir });
    }
}
