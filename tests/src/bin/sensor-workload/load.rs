//! Many exchanges at once.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
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
    let mut load = Load::connect(connections)?;
    load.exchange(count)?;
    load.end()?;
    at("end")
}

/// The same in stages, between which it waits with its connections open: how much is done meanwhile
/// does not depend on how fast it goes.
pub(crate) fn stages(connections: u64, stages: u64, each: u64) -> Result<()> {
    at("start")?;
    let mut load = Load::connect(connections)?;
    for _ in 0..stages {
        load.exchange(each)?;
        at("stage")?;
    }
    load.end()?;
    at("end")
}

/// Connections, each with a thread that serves it.
struct Load {
    clients: Vec<End>,
    servers: Vec<JoinHandle<Result<usize>>>,
    /// The first that was not exchanged yet.
    next: u64,
}

impl Load {
    fn connect(connections: u64) -> Result<Self> {
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            let (client, server) = Transport::Tcp4.connect()?;
            clients.push(End::new(client, In::Read(65_536), Out::Write));
            servers.push(serve(End::new(server, In::Read(65_536), Out::Write)));
        }
        Ok(Self { clients, servers, next: 1 })
    }

    /// `count` exchanges on each, all at once.
    fn exchange(&mut self, count: u64) -> Result<()> {
        let first = (self.next..).step_by(usize::try_from(count)?);
        self.next += count * self.clients.len() as u64;
        thread::scope(|scope| {
            let ask = |client: &mut End, first| {
                (first..first + count).try_for_each(|marker| client.ask(Marker(marker)))
            };
            let asking: Vec<_> = (self.clients.iter_mut().zip(first))
                .map(|(client, first)| scope.spawn(move || ask(client, first)))
                .collect();
            let panicked = |_| Err(anyhow!("a thread panicked"));
            asking.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
        })
    }

    fn end(self) -> Result<()> {
        drop(self.clients);
        for server in self.servers {
            joined(server)?;
        }
        say("range", &format!("1 {}", self.next - 1))
    }
}
