//! The ways to move bytes through a stream socket, one system call at a time.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

/// How bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// `write`
    Write,
    /// `writev` of so many parts.
    Writev(usize),
    /// `sendto`
    Sendto,
    /// `sendmsg` of so many parts.
    Sendmsg(usize),
    /// `sendmmsg` of so many messages, of so many parts each.
    Sendmmsg(usize, usize),
    /// `sendfile`
    Sendfile,
    /// `splice` from a pipe.
    Splice,
}

/// How bytes are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// `read` of at most so many bytes.
    Read(usize),
    /// `readv` into so many parts.
    Readv(usize),
    /// `recvfrom`
    Recvfrom,
    /// `recvmsg` into so many parts.
    Recvmsg(usize),
    /// `recvmmsg` of so many messages, each of at most so many bytes, with `MSG_WAITFORONE`.
    Recvmmsg(usize, usize),
    /// `recvfrom` with `MSG_PEEK`, twice, then `read`.
    Peek,
    /// As `Read`; bodies with `MSG_TRUNC`, which has TCP throw the bytes away.
    Trunc,
    /// As `Read`; bodies by `splice` to a pipe.
    Splice,
}

impl Out {
    /// Each way.
    pub const ALL: [Self; 14] = [
        Self::Write,
        Self::Writev(1),
        Self::Writev(3),
        Self::Writev(40),
        Self::Writev(1000),
        Self::Sendto,
        Self::Sendmsg(1),
        Self::Sendmsg(3),
        Self::Sendmsg(1000),
        Self::Sendmmsg(1, 1),
        Self::Sendmmsg(3, 1),
        Self::Sendmmsg(3, 4),
        Self::Sendfile,
        Self::Splice,
    ];

    /// How a head is sent: a file or a pipe is for bodies.
    #[must_use]
    pub fn for_head(self) -> Self {
        if matches!(self, Self::Sendfile | Self::Splice) { Self::Write } else { self }
    }
}

impl In {
    /// Each way.
    pub const ALL: [Self; 15] = [
        Self::Read(1),
        Self::Read(7),
        Self::Read(65_536),
        Self::Readv(1),
        Self::Readv(3),
        Self::Readv(40),
        Self::Readv(1000),
        Self::Recvfrom,
        Self::Recvmsg(1),
        Self::Recvmsg(3),
        Self::Recvmsg(1000),
        Self::Recvmmsg(1, 4096),
        Self::Recvmmsg(3, 64),
        Self::Peek,
        Self::Trunc,
    ];
}

/// What a call says.
fn result(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

fn part(base: *const u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len }
}

/// `data` in `count` parts. 1,000 parts and more have one byte each; and no vector is without an
/// empty part, which the kernel passes over.
fn parts(data: &[u8], count: usize) -> Vec<libc::iovec> {
    let size = if count >= 1000 { 1 } else { data.len().div_ceil(count.max(1)).max(1) };
    let mut parts: Vec<_> =
        data.chunks(size).take(count).map(|chunk| part(chunk.as_ptr(), chunk.len())).collect();
    if parts.len() > 1 && parts.len() < 1000 {
        parts.insert(1, part(data.as_ptr(), 0));
    }
    parts
}

/// A message of these parts.
fn message(parts: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all zero is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    message
}

fn vector(parts: &mut [Vec<libc::iovec>]) -> Vec<libc::mmsghdr> {
    parts.iter_mut().map(|parts| libc::mmsghdr { msg_hdr: message(parts), msg_len: 0 }).collect()
}

/// One call; returns how many bytes of `data` it took.
///
/// # Errors
/// The kernel's.
pub fn send(fd: RawFd, way: Out, data: &[u8]) -> io::Result<usize> {
    const FLAGS: i32 = libc::MSG_NOSIGNAL;
    let base = data.as_ptr().cast();
    // SAFETY (each): the buffers, and the arrays that point to them, outlive the call, which only
    // reads them.
    match way {
        // SAFETY: as above.
        Out::Write => result(unsafe { libc::write(fd, base, data.len()) }),
        Out::Writev(count) => {
            let parts = parts(data, count);
            // SAFETY: as above.
            result(unsafe { libc::writev(fd, parts.as_ptr(), parts.len() as i32) })
        }
        Out::Sendto => {
            // SAFETY: as above.
            result(unsafe { libc::sendto(fd, base, data.len(), FLAGS, ptr::null(), 0) })
        }
        Out::Sendmsg(count) => {
            let mut parts = parts(data, count);
            let message = message(&mut parts);
            // SAFETY: as above.
            result(unsafe { libc::sendmsg(fd, &raw const message, FLAGS) })
        }
        Out::Sendmmsg(messages, count) => {
            let size = data.len().div_ceil(messages).max(1);
            let mut parts: Vec<_> = data.chunks(size).map(|chunk| parts(chunk, count)).collect();
            sendmmsg(fd, &mut vector(&mut parts))
        }
        Out::Sendfile => {
            let file = memory(data)?;
            // SAFETY: no memory is passed.
            result(unsafe { libc::sendfile(fd, file.as_raw_fd(), ptr::null_mut(), data.len()) })
        }
        Out::Splice => {
            let (from, to) = pipe()?;
            let filled = send(to.as_raw_fd(), Out::Write, &data[..data.len().min(4096)])?;
            let mut moved = 0;
            while moved < filled {
                moved += splice(from.as_raw_fd(), fd, filled - moved)?;
            }
            Ok(filled)
        }
    }
}

/// One `sendmmsg`; returns how many bytes all its messages took.
///
/// # Errors
/// The kernel's.
pub fn sendmmsg(fd: RawFd, vector: &mut [libc::mmsghdr]) -> io::Result<usize> {
    // SAFETY: the vector is alive, and its messages by the caller's doing.
    let sent =
        unsafe { libc::sendmmsg(fd, vector.as_mut_ptr(), vector.len() as u32, libc::MSG_NOSIGNAL) };
    let sent = result(sent as isize)?;
    Ok(vector[..sent].iter().map(|message| message.msg_len as usize).sum())
}

/// One vector of three messages of four parts each over `data`, sent again and again from the same
/// memory after each call that took less, as a program that keeps its vector does. Waits for room.
///
/// # Errors
/// The kernel's.
pub fn send_partially(fd: RawFd, data: &[u8]) -> io::Result<(usize, usize)> {
    let (mut sent, mut short) = (0, 0);
    let mut held: [Vec<libc::iovec>; 3] = Default::default();
    // The same addresses each time.
    let mut messages = vector(&mut held);
    while sent < data.len() {
        let rest = &data[sent..];
        let size = rest.len().div_ceil(3).max(4);
        for ((held, chunk), message) in held.iter_mut().zip(rest.chunks(size)).zip(&mut messages) {
            *held = parts(chunk, 4);
            message.msg_hdr.msg_iov = held.as_mut_ptr();
            message.msg_hdr.msg_iovlen = held.len();
        }
        let count = rest.chunks(size).count();
        match sendmmsg(fd, &mut messages[..count]) {
            Ok(n) => {
                short += usize::from(n < rest.len());
                sent += n;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(fd, libc::POLLOUT)?,
            Err(error) => return Err(error),
        }
    }
    Ok((sent, short))
}

/// One call that receives part of a head or of anything; an empty result is the end.
///
/// # Errors
/// The kernel's.
pub fn receive(fd: RawFd, way: In) -> io::Result<Vec<u8>> {
    let whole = |n: usize, mut buffer: Vec<u8>| {
        buffer.truncate(n);
        buffer
    };
    let mut buffer = vec![0u8; 4096];
    let base = buffer.as_mut_ptr();
    // SAFETY (each): the buffers, and the arrays that point to them, outlive the call.
    match way {
        In::Read(size) => {
            let size = size.min(buffer.len());
            // SAFETY: as above.
            let n = result(unsafe { libc::read(fd, base.cast(), size) })?;
            Ok(whole(n, buffer))
        }
        In::Trunc | In::Splice => receive(fd, In::Read(4096)),
        In::Readv(count) => {
            let parts = parts(&buffer, count);
            // SAFETY: as above.
            let n = result(unsafe { libc::readv(fd, parts.as_ptr(), parts.len() as i32) })?;
            Ok(whole(n, buffer))
        }
        In::Recvfrom => Ok(recvfrom(fd, 4096, 0)?),
        In::Recvmsg(count) => {
            let mut parts = parts(&buffer, count);
            let mut message = message(&mut parts);
            // SAFETY: as above.
            let n = result(unsafe { libc::recvmsg(fd, &raw mut message, 0) })?;
            Ok(whole(n, buffer))
        }
        In::Recvmmsg(messages, size) => recvmmsg(fd, messages, size, libc::MSG_WAITFORONE),
        In::Peek => {
            recvfrom(fd, 4096, libc::MSG_PEEK)?;
            recvfrom(fd, 100, libc::MSG_PEEK)?;
            receive(fd, In::Read(4096))
        }
    }
}

/// `recvfrom` with flags.
///
/// # Errors
/// The kernel's.
pub fn recvfrom(fd: RawFd, size: usize, flags: i32) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0u8; size];
    let base = buffer.as_mut_ptr().cast();
    // SAFETY: the buffer outlives the call.
    let n =
        result(unsafe { libc::recvfrom(fd, base, size, flags, ptr::null_mut(), ptr::null_mut()) })?;
    buffer.truncate(n);
    Ok(buffer)
}

/// `recvmmsg` of `messages` of `size` bytes each.
///
/// # Errors
/// The kernel's.
pub fn recvmmsg(fd: RawFd, messages: usize, size: usize, flags: i32) -> io::Result<Vec<u8>> {
    let mut buffers = vec![vec![0u8; size]; messages];
    let mut parts: Vec<_> =
        buffers.iter_mut().map(|buffer| vec![part(buffer.as_mut_ptr(), buffer.len())]).collect();
    let mut vector = vector(&mut parts);
    // SAFETY: the vector, its messages and buffers outlive the call.
    let n =
        unsafe { libc::recvmmsg(fd, vector.as_mut_ptr(), messages as u32, flags, ptr::null_mut()) };
    let n = result(n as isize)?;
    let received = buffers.iter().zip(&vector).take(n);
    Ok(received
        .flat_map(|(buffer, message)| &buffer[..message.msg_len as usize])
        .copied()
        .collect())
}

/// One call that takes at most `size` bytes of a body; 0 is the end.
///
/// # Errors
/// The kernel's.
pub fn receive_body(fd: RawFd, way: In, size: usize) -> io::Result<usize> {
    match way {
        In::Trunc => {
            // The kernel writes nothing here, so what stands here is not on the connection.
            let mut bait = b"HTTP/1.1 299 Bait\r\nContent-Length: 0\r\n\r\n".to_vec();
            bait.resize(size.max(bait.len()), b' ');
            let base = bait.as_mut_ptr().cast();
            // SAFETY: the buffer outlives the call, and is at least `size` long.
            result(unsafe { libc::recv(fd, base, size, libc::MSG_TRUNC) })
        }
        In::Splice => {
            let (_from, to) = pipe()?;
            splice(fd, to.as_raw_fd(), size)
        }
        In::Read(most) => Ok(receive(fd, In::Read(most.min(size)))?.len()),
        _ => Ok(recvfrom(fd, size, 0)?.len()),
    }
}

fn splice(from: RawFd, to: RawFd, size: usize) -> io::Result<usize> {
    // SAFETY: no memory is passed.
    result(unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), size, 0) })
}

/// A file in memory with `data`.
fn memory(data: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: the name ends with a zero.
    let fd = unsafe { libc::memfd_create(c"body".as_ptr(), libc::MFD_CLOEXEC) };
    result(fd as isize)?;
    // SAFETY: it was just made, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the buffer outlives the call.
    result(unsafe { libc::pwrite(fd.as_raw_fd(), data.as_ptr().cast(), data.len(), 0) })?;
    Ok(fd)
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two.
    result(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } as isize)?;
    // SAFETY: they were just made, and nobody else has them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Waits until a descriptor is ready.
///
/// # Errors
/// The kernel's.
pub fn wait(fd: RawFd, events: i16) -> io::Result<()> {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one element, which outlives the call.
    result(unsafe { libc::poll(&raw mut poll, 1, 5000) } as isize).map(|_| ())
}

/// An integer option of a socket.
///
/// # Errors
/// The kernel's.
pub fn option(fd: RawFd, name: i32, value: i32) -> io::Result<()> {
    let (base, size) = ((&raw const value).cast(), size_of::<i32>() as u32);
    // SAFETY: the value outlives the call.
    result(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, name, base, size) } as isize).map(|_| ())
}

/// The next close sends a reset.
///
/// # Errors
/// The kernel's.
pub fn reset_on_close(fd: RawFd) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (base, size) = ((&raw const linger).cast(), size_of::<libc::linger>() as u32);
    // SAFETY: the value outlives the call.
    let returned = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, base, size) };
    result(returned as isize).map(|_| ())
}
