//! nginx, with one worker and a file of 1 KiB that it sends with sendfile, as Debian configures it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Tools;
use super::child::Owned;
use crate::bench::Bench;

const START: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(5);
/// Bytes of the file it serves for every path.
const FILE: usize = 1024;

/// A running nginx; ended when this is dropped.
pub(in crate::bench) struct Server {
    process: Owned,
    address: SocketAddr,
}

impl Server {
    /// # Errors
    /// It is not installed, or does not start.
    pub(in crate::bench) fn start(bench: &Bench) -> Result<Self> {
        let dir = bench.file("nginx");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("file.html"), vec![b'x'; FILE])?;
        let address = free_address()?;
        fs::write(dir.join("nginx.conf"), config(address))?;
        let log = dir.join("nginx.log");
        let mut command = Command::new(Tools::nginx()?);
        command
            .arg("-p")
            .arg(&dir)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let mut process = Owned::start(&mut command)?;
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if process.check().is_err() || Instant::now() > deadline {
                bail!("nginx does not start: {}", last_lines(&log));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { process, address })
    }

    /// Of its master; the worker is a child of it.
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

/// One that nobody listens at. Somebody else may take it before nginx does; nginx says so then.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.local_addr().context("no address")
}

fn config(address: SocketAddr) -> String {
    format!(
        "daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 32768;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 30000; }}
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
    }}
}}
"
    )
}

fn last_lines(log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    said.lines().rev().take(3).collect::<Vec<_>>().join("; ")
}
