//! Starts the shop, keeps it until its standard input closes, and takes it down.
//!
//! Arguments: `DIR REQUESTS-PER-SECOND`. `DIR` gets `bin/` (the services' executables), a log for
//! each and the files that say who listens where. One line on standard output, `ready`, says that
//! every service answers.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

pub(super) fn run(args: &[String]) -> Result<()> {
    let [dir, per_second] = args else {
        bail!("arguments are DIR REQUESTS-PER-SECOND; `cargo xtask demo` runs it all");
    };
    let mut shop = Shop::new(dir.into())?;
    let inventory = shop.service("inventory", &[])?;
    let payments = shop.service("payments", &[])?;
    let orders = shop.service("orders", &[&inventory, &payments])?;
    let gateway = shop.service("gateway", &[&orders, &inventory])?;
    shop.start("shop-client", &[&gateway, per_second])?;
    writeln!(io::stdout(), "ready").context("nobody listens")?;

    let closed = Arc::new(AtomicBool::new(false));
    let stdin_closed = Arc::clone(&closed);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        stdin_closed.store(true, Ordering::Relaxed);
    });
    while !closed.load(Ordering::Relaxed) {
        shop.check()?;
        thread::sleep(POLL);
    }
    Ok(())
}

/// The running services, killed when this is dropped.
struct Shop {
    dir: PathBuf,
    children: Vec<(&'static str, Child)>,
}

impl Shop {
    fn new(dir: PathBuf) -> Result<Self> {
        let bin = dir.join("bin");
        fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
        Ok(Self { dir, children: Vec::new() })
    }

    /// Starts a service and waits for the address it listens on.
    fn service(&mut self, name: &'static str, peers: &[&str]) -> Result<String> {
        let address = self.dir.join(format!("{name}.address"));
        remove(&address)?;
        let path = address.to_str().context("the directory's name is not UTF-8")?.to_owned();
        let mut args = vec![path.as_str()];
        args.extend(peers);
        self.start(name, &args)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = fs::read_to_string(&address) {
                return Ok(text);
            }
            self.check()?;
            if Instant::now() > deadline {
                bail!("{name} does not listen after {PATIENCE:?}");
            }
            thread::sleep(POLL);
        }
    }

    fn start(&mut self, name: &'static str, args: &[&str]) -> Result<()> {
        let program = self.dir.join("bin").join(name);
        same_file(&program)?;
        let log = self.dir.join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(&program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        self.children.push((name, child));
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended: {status}");
            }
        }
        Ok(())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Puts this executable under another name: a hard link, or a copy where there can be none.
fn same_file(name: &Path) -> Result<()> {
    let this = env::current_exe().context("where am I?")?;
    remove(name)?;
    if fs::hard_link(&this, name).is_err() {
        fs::copy(&this, name).with_context(|| format!("cannot write {}", name.display()))?;
    }
    Ok(())
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace {}", file.display()))
        }
        _ => Ok(()),
    }
}
