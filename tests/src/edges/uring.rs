//! The least of io_uring that sends and receives on a socket.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const OFF_SQ_RING: i64 = 0;
const OFF_CQ_RING: i64 = 0x800_0000;
const OFF_SQES: i64 = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1;
const ENTRIES: u32 = 2;
const OP_SEND: u8 = 26;
const OP_RECV: u8 = 27;

/// `struct io_sqring_offsets`; that of the completions has the same size.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    /// Overflows, for completions.
    flags: u32,
    /// The completions themselves.
    dropped_or_cqes: u32,
    array_or_flags: u32,
    reserved: u32,
    user: u64,
}

/// `struct io_uring_params`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: Offsets,
    cq: Offsets,
}

/// `struct io_uring_sqe`
#[repr(C)]
#[derive(Clone, Copy)]
struct Submission {
    opcode: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    rest: [u32; 9],
}

const _: () = assert!(size_of::<Params>() == 120 && size_of::<Submission>() == 64);

/// A ring.
pub struct Ring {
    fd: OwnedFd,
    params: Params,
    sq: *mut u8,
    cq: *mut u8,
    sqes: *mut Submission,
}

impl Ring {
    /// A small one.
    ///
    /// # Errors
    /// The kernel's: it may be disabled.
    pub fn new() -> io::Result<Self> {
        let mut params = Params::default();
        // SAFETY: the parameters outlive the call.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, &raw mut params) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        // More than any of the three needs with two entries.
        let map = |offset| {
            // SAFETY: a new mapping, wherever the kernel likes it.
            let at = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    4096,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_POPULATE,
                    fd.as_raw_fd(),
                    offset,
                )
            };
            if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at) }
        };
        let (sq, cq) = (map(OFF_SQ_RING)?.cast(), map(OFF_CQ_RING)?.cast());
        let sqes = map(OFF_SQES)?.cast();
        Ok(Self { fd, params, sq, cq, sqes })
    }

    /// Sends; returns how many bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send(&mut self, fd: RawFd, data: &[u8]) -> io::Result<usize> {
        self.one(OP_SEND, fd, data.as_ptr() as u64, data.len())
    }

    /// Receives; returns how many bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&mut self, fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
        self.one(OP_RECV, fd, buffer.as_mut_ptr() as u64, buffer.len())
    }

    /// One operation, from its submission to its completion.
    fn one(&mut self, opcode: u8, fd: RawFd, address: u64, len: usize) -> io::Result<usize> {
        let Params { sq, cq, .. } = self.params;
        let len = len as u32;
        let submission =
            Submission { opcode, flags: 0, priority: 0, fd, offset: 0, address, len, rest: [0; 9] };
        // SAFETY: within the mapping by the kernel's word, aligned, and alive as long as `self`.
        let word = |ring: *mut u8, at: u32| unsafe { &*ring.add(at as usize).cast::<AtomicU32>() };
        let tail = word(self.sq, sq.tail).load(Ordering::Relaxed);
        let slot = tail & word(self.sq, sq.mask).load(Ordering::Relaxed);
        // SAFETY: there are as many as the mask says, and none is in flight.
        unsafe { self.sqes.add(slot as usize).write(submission) };
        word(self.sq, sq.array_or_flags + 4 * slot).store(slot, Ordering::Relaxed);
        word(self.sq, sq.tail).store(tail.wrapping_add(1), Ordering::Release);
        // SAFETY: no memory is passed beyond what the submission names, which outlives the call.
        let entered = unsafe {
            let (ring, none) = (self.fd.as_raw_fd(), ptr::null::<u8>());
            libc::syscall(libc::SYS_io_uring_enter, ring, 1u32, 1u32, ENTER_GETEVENTS, none, 0usize)
        };
        if entered < 0 {
            return Err(io::Error::last_os_error());
        }
        let head = word(self.cq, cq.head).load(Ordering::Relaxed);
        let slot = head & word(self.cq, cq.mask).load(Ordering::Relaxed);
        let at = cq.dropped_or_cqes as usize + 16 * slot as usize;
        // SAFETY: the kernel has completed one: user data, then the result.
        let result = unsafe { self.cq.add(at + 8).cast::<i32>().read_volatile() };
        word(self.cq, cq.head).store(head.wrapping_add(1), Ordering::Release);
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }
}
