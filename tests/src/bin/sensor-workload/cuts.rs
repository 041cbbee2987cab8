//! Exchanges that do not come to their end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sensor_tests::edges::calls::{self, In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::peer::{End, Transport};
use sensor_tests::edges::{Marker, list};

const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn scene() -> Result<()> {
    at("start")?;
    let mut next = (1..).map(Marker);
    let mut marker = || next.next().unwrap_or(Marker(0));
    for transport in Transport::ALL {
        // The client goes in order while the server works.
        let (mut client, mut server) = pair(transport)?;
        let asked = marker();
        client.send(&asked.request())?;
        server.message()?;
        drop(client);
        ensure!(server.message()?.is_none());
        drop(server);
        let name = if transport == Transport::Unix { "left" } else { "closed" };
        say(name, &format!("{transport:?} {}", list([asked])))?;

        // The server goes in order without an answer.
        let asked = marker();
        (client, server) = pair(transport)?;
        client.send(&asked.request())?;
        server.message()?;
        drop(server);
        ensure!(client.message()?.is_none());
        drop(client);
        say("closed", &format!("{transport:?} {}", list([asked])))?;

        // The server goes within its answer.
        let asked = marker();
        (client, server) = pair(transport)?;
        client.send(&asked.request())?;
        server.message()?;
        server.send(&asked.response_head())?;
        client.pull(asked.response_head().len())?;
        drop(server);
        ensure!(client.message().is_err());
        drop(client);
        say("cut", &format!("{transport:?} {}", list([asked])))?;
    }
    for transport in [Transport::Tcp4, Transport::Tcp6] {
        // The server resets.
        let asked = marker();
        let (mut client, mut server) = pair(transport)?;
        client.send(&asked.request())?;
        server.message()?;
        calls::reset_on_close(server.fd())?;
        drop(server);
        ensure!(client.message().is_err(), "no reset");
        drop(client);
        say("reset", &format!("{transport:?} {}", list([asked])))?;

        // The client resets.
        let asked = marker();
        let (client, mut server) = pair(transport)?;
        client.send(&asked.request())?;
        server.message()?;
        calls::reset_on_close(client.fd())?;
        drop(client);
        thread::sleep(PAUSE);
        ensure!(server.message().is_err(), "no reset");
        say("reset", &format!("{transport:?} {}", list([asked])))?;
    }

    // A client that is killed while it waits.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut killed = start(&["hang", &listener.local_addr()?.to_string()])?;
    let mut server = End::new(listener.accept()?.0.into(), In::Read(4096), Out::Write);
    server.message()?;
    kill(&mut killed)?;
    ensure!(server.message().is_err() || server.message()?.is_none());
    drop(server);
    say("killed", &list([Marker(1001)]))?;

    // A server that is killed while it works, and one that is killed within its answer.
    for (how, asked) in [("before", Marker(1002)), ("within", Marker(1003))] {
        let mut killed = start(&["accept", how])?;
        let stdout = killed.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let address: SocketAddr = lines.next().context("no address")??.parse()?;
        let stream = TcpStream::connect(address)?;
        let mut client = End::new(stream.into(), In::Read(4096), Out::Write);
        client.send(&asked.request())?;
        ensure!(lines.next().context("no request")?? == "received");
        thread::sleep(PAUSE);
        kill(&mut killed)?;
        ensure!(client.message().map_or(true, |message| message.is_none()));
        drop(client);
        say(if how == "before" { "killed" } else { "killed-within" }, &list([asked]))?;
    }

    // One that is still waiting at the end of the sensor.
    let asked = marker();
    let (client, mut server) = pair(Transport::Tcp4)?;
    client.send(&asked.request())?;
    server.message()?;
    say("open", &list([asked]))?;
    at("end")
}

/// Answers that are read when the connection is over already.
pub(crate) fn late_readers() -> Result<()> {
    at("start")?;
    let mut next = (1..).map(Marker);
    let mut marker = || next.next().unwrap_or(Marker(0));
    for transport in [Transport::Tcp4, Transport::Tcp6] {
        // Both have sent all that they will.
        let asked = marker();
        let (mut client, mut server) = pair(transport)?;
        client.send(&asked.request())?;
        // SAFETY: no memory is passed.
        ensure!(unsafe { libc::shutdown(client.fd(), libc::SHUT_WR) } == 0);
        ensure!(server.answer()? == Some(asked));
        ensure!(server.message()?.is_none());
        drop(server);
        thread::sleep(PAUSE);
        client.answered(asked)?;
        ensure!(client.message()?.is_none());
        drop(client);
        say("answered", &list([asked]))?;

        // The server resets, for there is something that it has not read.
        let (asked, unread) = (marker(), marker());
        let (mut client, mut server) = pair(transport)?;
        client.send(&asked.request())?;
        ensure!(server.answer()? == Some(asked));
        client.send(&unread.request())?;
        drop(server);
        thread::sleep(PAUSE);
        client.answered(asked)?;
        ensure!(client.message().is_err(), "no reset");
        drop(client);
        say("answered", &list([asked]))?;
        say("unread", &list([unread]))?;

        // Nobody reads what has come.
        let asked = marker();
        let (client, mut server) = pair(transport)?;
        client.send(&asked.request())?;
        ensure!(server.answer()? == Some(asked));
        thread::sleep(PAUSE);
        drop(client);
        drop(server);
        say("unheard", &list([asked]))?;
    }
    at("end")
}

fn pair(transport: Transport) -> Result<(End, End)> {
    let (client, server) = transport.connect()?;
    Ok((End::new(client, In::Read(4096), Out::Write), End::new(server, In::Read(4096), Out::Write)))
}

fn start(arguments: &[&str]) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?)
}

fn kill(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// A client that waits for an answer that does not come.
pub(crate) fn hang(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    ensure!(calls::send(stream.as_raw_fd(), Out::Write, &Marker(1001).request())? > 0);
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A server that gets a request and does not come to its answer, or to its answer's end.
pub(crate) fn accept(how: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string(), "").ok();
    let mut server = End::new(listener.accept()?.0.into(), In::Read(4096), Out::Write);
    let Some((first, _)) = server.message()? else { return Ok(()) };
    let marker = first.split(' ').nth(1).and_then(Marker::of_path).context("no marker")?;
    if how == "within" {
        server.send(&marker.response_head())?;
    }
    say("received", "")?;
    thread::sleep(Duration::from_secs(60));
    Ok(())
}
