//! Servers that others talk to, and servers on ports that are known before.

use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use sensor_tests::edges::calls::{In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::peer::{End, joined, serve};
use sensor_tests::edges::{Marker, list};

/// `count` exchanges with each of two ports.
pub(crate) fn ports(count: u64) -> Result<()> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    for listener in &listeners {
        say("port", &listener.local_addr()?.port().to_string())?;
    }
    at("start")?;
    let mut next = (1..).map(Marker);
    for listener in &listeners {
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let mut client = End::new(stream.into(), In::Read(4096), Out::Write);
        let server = End::new(listener.accept()?.0.into(), In::Read(4096), Out::Write);
        let server = serve(server);
        let markers: Vec<_> = next.by_ref().take(count as usize).collect();
        for &marker in &markers {
            client.ask(marker)?;
        }
        drop(client);
        joined(server)?;
        say("exchanged", &list(markers))?;
    }
    at("end")
}

/// A server that takes whatever it is sent, and says what it was asked.
pub(crate) fn sink() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say("port", &listener.local_addr()?.port().to_string())?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || -> Result<()> {
                let mut server = End::new(stream.into(), In::Read(4096), Out::Write);
                while let Some((first, _)) = server.message()? {
                    say("asked", &first)?;
                    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
                }
                Ok(())
            });
        }
    });
    at("start")?;
    at("end")
}
