//! Many exchanges at once.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::Result;
use sensor_tests::edges::Marker;
use sensor_tests::edges::calls::{In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::peer::{End, Transport, joined, serve};

/// Threads of each side.
const THREADS: u64 = 4;

/// Short connections, one exchange each, over the same few descriptors.
pub(crate) fn reuse() -> Result<()> {
    const EACH: u64 = 250;
    at("start")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let ended = Arc::new(AtomicBool::new(false));
    let servers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (listener, ended) = (listener.try_clone(), Arc::clone(&ended));
            thread::spawn(move || -> Result<()> {
                let listener = listener?;
                while let Ok((stream, _)) = listener.accept() {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut end = End::new(stream.into(), In::Recvfrom, Out::Sendto);
                    while end.answer()?.is_some() {}
                }
                Ok(())
            })
        })
        .collect();
    let highest = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..THREADS)
        .map(|thread| {
            let highest = Arc::clone(&highest);
            thread::spawn(move || -> Result<()> {
                for n in 0..EACH {
                    let stream = OwnedFd::from(TcpStream::connect(address)?);
                    let mut end = End::new(stream, In::Read(65_536), Out::Write);
                    highest.fetch_max(end.fd() as u64, Ordering::Relaxed);
                    end.ask(Marker(1 + thread * EACH + n))?;
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        joined(client)?;
    }
    ended.store(true, Ordering::Relaxed);
    for _ in 0..THREADS {
        TcpStream::connect(address)?.shutdown(Shutdown::Both)?;
    }
    for server in servers {
        joined(server)?;
    }
    say("range", &format!("1 {}", THREADS * EACH))?;
    say("highest", &highest.load(Ordering::Relaxed).to_string())?;
    at("end")
}

/// `count` exchanges on each of `connections`, as fast as it goes.
pub(crate) fn keep_alive(connections: u64, count: u64) -> Result<()> {
    at("start")?;
    let clients: Vec<_> = (0..connections)
        .map(|connection| {
            thread::spawn(move || -> Result<()> {
                let (client, server) = Transport::Tcp4.connect()?;
                let mut client = End::new(client, In::Read(65_536), Out::Write);
                let server = serve(End::new(server, In::Read(65_536), Out::Write));
                for n in 0..count {
                    client.ask(Marker(1 + connection * count + n))?;
                }
                drop(client);
                joined(server).map(|_| ())
            })
        })
        .collect();
    for client in clients {
        joined(client)?;
    }
    say("range", &format!("1 {}", connections * count))?;
    at("end")
}
