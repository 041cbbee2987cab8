//! What the tests of the edges trace: exchanges by every system call, and everything that is none.
//! `sensor-workload SCENE [ARGUMENT...]`; the tests are `tests/edges_*.rs`.

mod cuts;
mod hostile;
mod load;
mod older;
mod servers;
mod tonic;
mod traces;
mod ways;

use anyhow::{Context as _, Result, bail};
use sensor_tests::edges::calls::{In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::peer::{End, Transport, joined, serve};
use sensor_tests::edges::{Marker, list};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let scene = arguments.next().context("which scene?")?;
    let arguments: Vec<String> = arguments.collect();
    let number = |at: usize| -> Result<u64> {
        let text = arguments.get(at).with_context(|| format!("{scene}: too few arguments"))?;
        text.parse().with_context(|| format!("{scene}: {text:?}"))
    };
    match scene.as_str() {
        "ways" => ways::all(),
        "partial" => ways::partial(),
        "pieces" => ways::pieces(),
        "discarded" => ways::discarded(),
        "spliced" => ways::spliced(),
        "failed" => ways::failed(),
        "uring" => ways::uring(),
        "unseen" => ways::unseen(),
        "older" => older::scene(),
        "cuts" => cuts::scene(),
        "late-readers" => cuts::late_readers(),
        "hang" => cuts::hang(arguments.first().context("hang where?")?),
        "accept" => cuts::accept(arguments.first().context("accept how?")?),
        "reuse" => load::reuse(),
        "load" => load::keep_alive(number(0)?, number(1)?),
        "stages" => load::stages(number(0)?, number(1)?, number(2)?),
        "few" => few(number(0)?, number(1)?),
        "child" => child(number(0)?),
        "hostile" => hostile::scene(),
        "ports" => servers::ports(number(0)?),
        "sink" => servers::sink(),
        "tonic-server" => tonic::serve(number(0)?),
        "tonic-web-server" => tonic::serve_web(number(0)?),
        "tonic-client" => tonic::ask(number(0)?),
        "traces-leaf" => traces::leaf(number(0)?),
        "traces-middle" => traces::middle(number(0)?),
        _ => bail!("no scene {scene:?}"),
    }
}

/// `count` exchanges over one TCP connection, from `first` on.
fn exchanges(first: u64, count: u64) -> Result<()> {
    let (client, server) = Transport::Tcp4.connect()?;
    let mut client = End::new(client, In::Read(4096), Out::Write);
    let server = serve(End::new(server, In::Read(4096), Out::Write));
    let markers: Vec<_> = (first..first + count).map(Marker).collect();
    for &marker in &markers {
        client.ask(marker)?;
    }
    drop(client);
    joined(server)?;
    say("exchanged", &list(markers))
}

/// A few exchanges; the sensor may start before or after.
fn few(first: u64, count: u64) -> Result<()> {
    at("start")?;
    exchanges(first, count)?;
    at("end")
}

/// Exchanges of this process, of a fork, and of a program that the fork becomes.
fn child(first: u64) -> Result<()> {
    at("start")?;
    exchanges(first, 2)?;
    // SAFETY: this program has one thread here, so the child can do whatever it could.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        let ended = exchanges(first + 2, 2);
        std::process::exit(i32::from(ended.is_err()));
    }
    let mut status = 0;
    // SAFETY: the status outlives the call.
    unsafe { libc::waitpid(forked, &raw mut status, 0) };
    anyhow::ensure!(status == 0, "the fork ended with {status}");
    let first = (first + 4).to_string();
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["few", &first, "2"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write as _;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(b"go\ngo\n")?;
            }
            child.wait_with_output()
        })?;
    anyhow::ensure!(output.status.success(), "the child ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    for line in text.lines().filter_map(|line| line.strip_prefix("exchanged ")) {
        say("exchanged", line)?;
    }
    at("end")
}
