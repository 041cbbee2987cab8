//! Servers under load. nginx has one worker and sends files with sendfile, as Debian configures it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Tools;
use super::child::Owned;
use crate::bench::Bench;
use crate::run::Cmd;
use crate::workspace;

const START: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(5);
/// Bytes of the file that nginx serves for most paths, and nghttpd for one.
pub(in crate::bench) const FILE: usize = 1024;
/// That one.
pub(in crate::bench) const FILE_PATH: &str = "/file.html";

/// A running server; ended when this is dropped.
pub(in crate::bench) struct Server {
    process: Owned,
    address: SocketAddr,
}

impl Server {
    /// nginx, with a file of 1 KiB for every path but those of [`body`].
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub(in crate::bench) fn nginx(bench: &Bench) -> Result<Self> {
        let dir = bench.file("nginx");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("file.html"), vec![b'x'; FILE])?;
        let address = free_address()?;
        fs::write(dir.join("nginx.conf"), config(address))?;
        let mut command = Command::new(Tools::nginx()?);
        command.arg("-p").arg(&dir).args(["-c", "nginx.conf", "-e", "error.log"]);
        Self::start(command, address, &dir.join("nginx.log"))
    }

    /// Go's net/http, with 1 KiB for every path, built now.
    ///
    /// # Errors
    /// There is no Go, or it does not start.
    pub(in crate::bench) fn go(bench: &Bench) -> Result<Self> {
        Self::go_program(bench, "go.log", &[])
    }

    /// The same, with a line of its log for each request.
    ///
    /// # Errors
    /// As there.
    pub(in crate::bench) fn go_logging(bench: &Bench) -> Result<Self> {
        Self::go_program(bench, "go-logging.log", &["log"])
    }

    fn go_program(bench: &Bench, log: &str, more: &[&str]) -> Result<Self> {
        let program = workspace::target().join("workloads/bench");
        Cmd::new(Tools::go()?)
            .args(["build", "-trimpath", "-o"])
            .arg(&program)
            .arg("./bench")
            .dir(workspace::root().join("tests/workloads/go"))
            .env("GOFLAGS", "-mod=readonly")
            .env("GOTOOLCHAIN", "local")
            .run()?;
        let address = free_address()?;
        let mut command = Command::new(program);
        command.arg(address.to_string()).args(more);
        Self::start(command, address, &bench.file(log))
    }

    /// nghttpd with one thread, which serves [`FILE_PATH`], whatever the query.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub(in crate::bench) fn nghttpd(bench: &Bench) -> Result<Self> {
        let dir = bench.file("nghttpd");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("file.html"), vec![b'x'; FILE])?;
        let address = free_address()?;
        let mut command = Command::new(Tools::nghttpd()?);
        command.args(["--no-tls", "--address", &address.ip().to_string(), "--htdocs"]);
        command.arg(&dir).arg(address.port().to_string());
        Self::start(command, address, &bench.file("nghttpd.log"))
    }

    /// Answers PING with PONG, over a protocol that is not HTTP.
    ///
    /// # Errors
    /// It does not start.
    pub(in crate::bench) fn echo(bench: &Bench) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(&bench.tools.sensor_load);
        command.args(["echo-server", &address.to_string()]);
        Self::start(command, address, &bench.file("echo.log"))
    }

    fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Self> {
        let said = File::create(log)?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let mut process = Owned::start(&mut command)?;
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if process.check().is_err() || Instant::now() > deadline {
                bail!("{} does not start: {}", process.name(), last_lines(log));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { process, address })
    }

    /// Of its master, where there is one; workers are its children.
    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(in crate::bench) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A master that is killed leaves its worker: it has to be asked.
        self.process.terminate();
        let _ = self.process.wait(END);
    }
}

/// Has nginx answer with so many bytes to the paths that begin with what this returns (and a number).
///
/// # Errors
/// The file cannot be written.
pub(in crate::bench) fn body(bench: &Bench, bytes: usize) -> Result<String> {
    let name = format!("body-{bytes}");
    let file: PathBuf = bench.file("nginx").join(&name);
    if !file.exists() {
        fs::write(&file, vec![b'x'; bytes]).with_context(|| file.display().to_string())?;
    }
    Ok(format!("{name}/"))
}

/// One that nobody listens at. Somebody else may take it before the server does, which says so then.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.local_addr().context("no address")
}

fn config(address: SocketAddr) -> String {
    format!(
        "daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type text/html;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {{
        listen {address} backlog=4096;
        location / {{ root .; try_files /file.html =500; }}
        location ~ ^/(body-[0-9]+)/ {{ root .; try_files /$1 =500; }}
    }}
}}
"
    )
}

fn last_lines(log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    said.lines().rev().take(3).collect::<Vec<_>>().join("; ")
}
