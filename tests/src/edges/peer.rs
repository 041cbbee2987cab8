//! The two ends of a connection, and what they say to each other.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::calls::{self, In, Out};
use super::{Marker, read_head};

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// 127.0.0.1
    Tcp4,
    /// ::1
    Tcp6,
    /// A path.
    Unix,
}

impl Transport {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Tcp4, Self::Tcp6, Self::Unix];

    /// A new connection: the client's end and the server's.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(self) -> io::Result<(OwnedFd, OwnedFd)> {
        match self {
            Self::Tcp4 => tcp(&TcpListener::bind("127.0.0.1:0")?),
            Self::Tcp6 => tcp(&TcpListener::bind("[::1]:0")?),
            Self::Unix => {
                let path = std::env::temp_dir().join(format!("workload-{}", std::process::id()));
                let _ = std::fs::remove_file(&path);
                let listener = UnixListener::bind(&path)?;
                let client = UnixStream::connect(&path)?;
                let server = listener.accept()?.0;
                std::fs::remove_file(&path)?;
                Ok((client.into(), server.into()))
            }
        }
    }
}

fn tcp(listener: &TcpListener) -> io::Result<(OwnedFd, OwnedFd)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let server = listener.accept()?.0;
    server.set_nodelay(true)?;
    Ok((client.into(), server.into()))
}

/// One end of a connection.
#[derive(Debug)]
pub struct End {
    fd: OwnedFd,
    input: In,
    output: Out,
    /// Received, and not used yet.
    rest: Vec<u8>,
}

impl End {
    /// An end that uses these calls.
    pub fn new(fd: OwnedFd, input: In, output: Out) -> Self {
        Self { fd, input, output, rest: Vec::new() }
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// From now on, these calls.
    pub fn ways(&mut self, input: In, output: Out) {
        (self.input, self.output) = (input, output);
    }

    /// Sends all of `data`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send(&self, data: &[u8]) -> io::Result<()> {
        self.send_by(self.output.for_head(), data)
    }

    fn send_by(&self, way: Out, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let n = calls::send(self.fd(), way, data)?;
            data = &data[n..];
        }
        Ok(())
    }

    /// Receives `size` bytes, and keeps them for the next message.
    ///
    /// # Errors
    /// The kernel's, or when the connection ends before.
    pub fn pull(&mut self, size: usize) -> Result<()> {
        while self.rest.len() < size {
            let bytes = calls::receive(self.fd(), self.head_way())?;
            ensure!(!bytes.is_empty(), "the connection ended");
            self.rest.extend(bytes);
        }
        Ok(())
    }

    /// Receives a head and its body; none at the end.
    ///
    /// # Errors
    /// The kernel's, and bytes that are no message.
    pub fn message(&mut self) -> Result<Option<(String, usize)>> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            let bytes = calls::receive(self.fd(), self.head_way())?;
            if bytes.is_empty() {
                ensure!(self.rest.is_empty(), "the connection ended within a head");
                return Ok(None);
            }
            self.rest.extend(bytes);
        };
        let (first, length) = read_head(&self.rest[..end])?;
        self.rest.drain(..end);
        let have = self.rest.len().min(length);
        self.rest.drain(..have);
        let mut left = length - have;
        while left > 0 {
            let n = match self.input {
                In::Trunc | In::Splice | In::Read(_) => {
                    calls::receive_body(self.fd(), self.input, left)?
                }
                // Takes what follows, too.
                way => {
                    let mut bytes = calls::receive(self.fd(), way)?;
                    let n = bytes.len();
                    if n > left {
                        self.rest = bytes.split_off(left);
                    }
                    n
                }
            };
            ensure!(n > 0, "the connection ended within a body");
            left -= n.min(left);
        }
        Ok(Some((first, length)))
    }

    /// A body by other calls than its head: the head has to be read without any of it.
    fn head_way(&self) -> In {
        if matches!(self.input, In::Trunc | In::Splice) { In::Read(16) } else { self.input }
    }

    /// Answers one request as its marker says; none at the end.
    ///
    /// # Errors
    /// The kernel's, and anything but a request with a marker.
    pub fn answer(&mut self) -> Result<Option<Marker>> {
        let Some((first, length)) = self.message()? else {
            return Ok(None);
        };
        let path = first.split(' ').nth(1).unwrap_or_default();
        let marker = Marker::of_path(path).with_context(|| format!("no marker in {first:?}"))?;
        ensure!(length == marker.request_body_size(), "{marker:?} with a body of {length}");
        self.respond(marker)?;
        Ok(Some(marker))
    }

    /// Sends the response of a marker.
    ///
    /// # Errors
    /// The kernel's.
    pub fn respond(&self, marker: Marker) -> io::Result<()> {
        let (mut head, body) = (marker.response_head(), marker.response_body());
        if self.output.for_head() == self.output {
            head.extend(body);
            self.send(&head)
        } else {
            self.send(&head)?;
            self.send_by(self.output, &body)
        }
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// The kernel's, and another response than the marker's.
    pub fn ask(&mut self, marker: Marker) -> Result<()> {
        if self.output.for_head() == self.output {
            self.send(&marker.request())?;
        } else {
            self.send(&marker.request_head())?;
            self.send_by(self.output, &super::body(marker.request_body_size()))?;
        }
        self.answered(marker)
    }

    /// Reads the response of a request that was sent.
    ///
    /// # Errors
    /// The kernel's, and another response than the marker's.
    pub fn answered(&mut self, marker: Marker) -> Result<()> {
        let Some((first, length)) = self.message()? else {
            bail!("no response to {marker:?}");
        };
        let wanted = format!("HTTP/1.1 {} X", marker.status());
        ensure!(first == wanted, "{first:?} instead of {wanted:?}");
        ensure!(length == marker.response_body_size(), "{marker:?} with a body of {length}");
        Ok(())
    }
}

/// Answers on a thread of its own until the end; returns how many it were.
pub fn serve(mut server: End) -> thread::JoinHandle<Result<usize>> {
    thread::spawn(move || {
        let mut answered = 0;
        while server.answer()?.is_some() {
            answered += 1;
        }
        Ok(answered)
    })
}

/// What a thread returned.
///
/// # Errors
/// Its own, or that it panicked.
pub fn joined<T>(thread: thread::JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}
