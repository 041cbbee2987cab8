//! Every way in and out.

use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sensor_tests::edges::calls::{self, In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::peer::{End, Transport, joined, serve};
use sensor_tests::edges::{Marker, body, list, uring};

/// Exchanges on each connection.
const EACH: u64 = 2;

/// Long enough for the other side to run and to wait again.
const PAUSE: Duration = Duration::from_millis(20);

/// Each way out and each way in, on both sides, over each transport.
pub(crate) fn all() -> Result<()> {
    at("start")?;
    let mut next = 1..;
    for transport in Transport::ALL {
        for i in 0..Out::ALL.len().max(In::ALL.len()) {
            let output = |shift| Out::ALL[(i + shift) % Out::ALL.len()];
            let input = |shift| In::ALL[(i + shift) % In::ALL.len()];
            let (client, server) = transport.connect()?;
            let mut client = End::new(client, input(5), output(0));
            let server = serve(End::new(server, input(0), output(3)));
            let markers: Vec<_> = next.by_ref().take(EACH as usize).map(Marker).collect();
            for &marker in &markers {
                client.ask(marker)?;
            }
            drop(client);
            joined(server)?;
            let (sent, received) = (output(0), input(0));
            let (answered, read) = (output(3), input(5));
            say("by", &format!("{transport:?} {sent:?} {received:?} {answered:?} {read:?}"))?;
            say("exchanged", &list(markers))?;
        }
    }
    at("end")
}

/// Vectors of messages that the kernel takes in part, on a socket that does not block. The sizes are
/// more than any buffer holds.
pub(crate) fn partial() -> Result<()> {
    const SIZE: usize = 3 << 20;
    at("start")?;
    for (i, transport) in Transport::ALL.into_iter().enumerate() {
        let (client, server) = transport.connect()?;
        calls::option(server.as_raw_fd(), libc::SO_SNDBUF, 64 << 10)?;
        // SAFETY: no memory is passed.
        ensure!(unsafe { libc::fcntl(server.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } == 0);
        let mut client = End::new(client, In::Read(4096), Out::Write);
        let server = thread::spawn(move || -> Result<usize> {
            let mut server = End::new(server, In::Read(4096), Out::Write);
            let mut short = 0;
            for _ in 0..EACH {
                calls::wait(server.fd(), libc::POLLIN)?;
                ensure!(server.message()?.is_some(), "no request");
                let head = format!("HTTP/1.1 200 X\r\nContent-Length: {SIZE}\r\n\r\n");
                let mut response = head.into_bytes();
                response.extend(body(SIZE));
                short += calls::send_partially(server.fd(), &response)?.1;
            }
            Ok(short)
        });
        for n in 0..EACH {
            let path = format!("/partial/{i}/{n}");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
            let Some((first, length)) = client.message()? else { bail!("no response") };
            ensure!(first == "HTTP/1.1 200 X" && length == SIZE, "{first:?} {length}");
            say("partial", &format!("{path} {SIZE}"))?;
        }
        say("short", &joined(server)?.to_string())?;
    }
    at("end")
}

/// `recvmmsg` that waits for all its messages, and gets each of them in part.
pub(crate) fn pieces() -> Result<()> {
    at("start")?;
    let mut next = 1..;
    for transport in Transport::ALL {
        let (client, server) = transport.connect()?;
        let mut client = End::new(client, In::Read(4096), Out::Write);
        let marker = Marker(next.next().unwrap_or_default());
        let server = thread::spawn(move || -> Result<()> {
            let server = End::new(server, In::Read(4096), Out::Write);
            let request = calls::recvmmsg(server.fd(), 3, 4096, 0)?;
            ensure!(request == marker.request(), "{}", String::from_utf8_lossy(&request));
            Ok(server.respond(marker)?)
        });
        let request = marker.request();
        let (first, rest) = request.split_at(11);
        let (second, third) = rest.split_at(50);
        for piece in [first, second, third] {
            thread::sleep(PAUSE);
            client.send(piece)?;
        }
        client.answered(marker)?;
        joined(server)?;
        say("exchanged", &list([marker]))?;
    }
    at("end")
}

/// Bytes that are thrown away unread: what stands in the buffer is not what was on the connection.
pub(crate) fn discarded() -> Result<()> {
    at("start")?;
    let (client, server) = Transport::Tcp4.connect()?;
    let mut client = End::new(client, In::Read(4096), Out::Write);
    let mut server = End::new(server, In::Read(4096), Out::Write);
    client.send(&Marker(1).request())?;
    ensure!(server.answer()? == Some(Marker(1)), "another request");
    client.answered(Marker(1))?;

    // The second request is thrown away, into a buffer that holds another one.
    let request = Marker(2).request();
    client.send(&request)?;
    let mut bait = b"GET /bait HTTP/1.1\r\nHost: bait\r\n\r\n".to_vec();
    bait.resize(request.len(), b' ');
    let (base, len) = (bait.as_mut_ptr().cast(), bait.len());
    // SAFETY: the buffer outlives the call.
    let n = unsafe { libc::recv(server.fd(), base, len, libc::MSG_TRUNC | libc::MSG_WAITALL) };
    ensure!(n == len as isize, "{n} instead of {len}");
    server.respond(Marker(2))?;
    client.answered(Marker(2))?;
    drop(client);
    say("exchanged", &list([Marker(1)]))?;
    say("client", &list([Marker(2)]))?;
    at("end")
}

/// Bodies that go from a socket to a pipe.
pub(crate) fn spliced() -> Result<()> {
    at("start")?;
    let mut next = 1..;
    for transport in Transport::ALL {
        let (client, server) = transport.connect()?;
        let mut client = End::new(client, In::Splice, Out::Write);
        let server = serve(End::new(server, In::Splice, Out::Write));
        let markers: Vec<_> = next.by_ref().take(3).map(Marker).collect();
        for &marker in &markers {
            // The head by itself, so that nothing of the body is read with it.
            client.send(&marker.request_head())?;
            thread::sleep(PAUSE);
            client.send(&body(marker.request_body_size()))?;
            client.answered(marker)?;
        }
        drop(client);
        joined(server)?;
        say(&format!("{transport:?}").to_lowercase(), &list(markers))?;
    }
    at("end")
}

/// Calls that fail, and calls that move nothing.
pub(crate) fn failed() -> Result<()> {
    at("start")?;
    let mut next = (1..).map(Marker);
    let mut marker = || next.next().unwrap_or(Marker(0));
    for transport in Transport::ALL {
        let (client, server) = transport.connect()?;
        let mut client = End::new(client, In::Read(4096), Out::Write);
        let mut server = End::new(server, In::Read(4096), Out::Write);
        let mut exchange = |before: &dyn Fn(&End, &End) -> Result<()>| -> Result<()> {
            let marker = marker();
            client.send(&marker.request())?;
            before(&client, &server)?;
            ensure!(server.answer()? == Some(marker), "another request");
            client.answered(marker)?;
            say("exchanged", &list([marker]))
        };
        // Nothing is there yet.
        exchange(&|client, _| {
            let error = calls::recvfrom(client.fd(), 100, libc::MSG_DONTWAIT).err();
            ensure!(error.map(|e| e.kind()) == Some(ErrorKind::WouldBlock), "no EAGAIN");
            Ok(())
        })?;
        // Nothing is asked for, though there is something: that is not the end.
        exchange(&|_, server| {
            calls::wait(server.fd(), libc::POLLIN)?;
            for way in [In::Read(0), In::Readv(0), In::Recvmsg(0)] {
                ensure!(calls::receive(server.fd(), way)?.is_empty(), "{way:?}");
            }
            ensure!(calls::recvfrom(server.fd(), 0, 0)?.is_empty(), "bytes out of nothing");
            Ok(())
        })?;
        // Into memory that is not there.
        exchange(&|_, server| {
            // SAFETY: the kernel checks the address, which is the point.
            let n = unsafe { libc::read(server.fd(), 8 as *mut _, 100) };
            ensure!(n == -1, "EFAULT expected");
            Ok(())
        })?;
        exchange(&|client, _| {
            // SAFETY: as above.
            let n = unsafe { libc::write(client.fd(), 8 as *const _, 100) };
            ensure!(n == -1, "EFAULT expected");
            Ok(())
        })?;
        // Nobody is there: the first write may go, the second cannot.
        drop(server);
        thread::sleep(PAUSE);
        let gone = marker();
        let first = calls::send(client.fd(), Out::Sendto, &gone.request());
        thread::sleep(PAUSE);
        let second = calls::send(client.fd(), Out::Sendto, &marker().request());
        ensure!(second.is_err(), "a write to nobody");
        let name = if first.is_ok() { "unanswered" } else { "nothing" };
        say(name, &list([gone]))?;
    }
    at("end")
}

/// One exchange by ordinary calls, one whose client uses io_uring, one more by ordinary calls.
pub(crate) fn uring() -> Result<()> {
    let mut ring = match uring::Ring::new() {
        Ok(ring) => ring,
        Err(error) => return say("disabled", &error.to_string()),
    };
    at("start")?;
    let (client, server) = Transport::Tcp4.connect()?;
    let mut client = End::new(client, In::Read(65_536), Out::Write);
    let server = serve(End::new(server, In::Read(4096), Out::Write));
    client.ask(Marker(1))?;
    let request = Marker(2).request();
    ensure!(ring.send(client.fd(), &request)? == request.len(), "a short send");
    let mut left = Marker(2).response_head().len() + Marker(2).response_body_size();
    while left > 0 {
        let mut buffer = vec![0; left];
        let n = ring.receive(client.fd(), &mut buffer)?;
        ensure!(n > 0, "no response");
        left -= n;
    }
    for marker in [Marker(3), Marker(4), Marker(5)] {
        client.ask(marker)?;
    }
    drop(client);
    joined(server)?;
    say("server", &list((1..=5).map(Marker)))?;
    at("end")
}

/// A connection that is older than the sensor, of which it sees a request, and then the answer to
/// another: what is between them goes by io_uring.
pub(crate) fn unseen() -> Result<()> {
    let mut ring = match uring::Ring::new() {
        Ok(ring) => ring,
        Err(error) => return say("disabled", &error.to_string()),
    };
    let (client, server) = Transport::Tcp4.connect()?;
    let mut client = End::new(client, In::Read(65_536), Out::Write);
    let mut server = End::new(server, In::Read(65_536), Out::Write);
    let mut exchange = |marker: Marker, by_ring: [bool; 2]| -> Result<()> {
        client.send(&marker.request())?;
        if by_ring[0] {
            let mut left = marker.request().len();
            while left > 0 {
                let n = ring.receive(server.fd(), &mut vec![0; left])?;
                ensure!(n > 0, "no request");
                left -= n;
            }
        } else {
            server.message()?;
        }
        if by_ring[1] {
            let mut response = marker.response_head();
            response.extend(marker.response_body());
            ensure!(ring.send(server.fd(), &response)? == response.len(), "a short send");
        } else {
            server.respond(marker)?;
        }
        client.answered(marker)
    };
    exchange(Marker(1), [false, false])?;
    at("start")?;
    exchange(Marker(2), [false, true])?;
    exchange(Marker(3), [true, false])?;
    for marker in [4, 5, 6] {
        exchange(Marker(marker), [false, false])?;
    }
    at("end")
}
