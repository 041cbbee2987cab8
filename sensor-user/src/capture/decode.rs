//! Decodes the records of the kernel ([`sensor_ebpf::abi`]) into [`Event`]s.
//!
//! Pure, and total: any bytes give a value or a [`DecodeError`]. Enumerations, flags and lengths
//! are checked; reserved fields are ignored; bytes after a record's end are ignored (the ring hands
//! over whole reservations, of which a record may use a part).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::sync::Arc;

use sensor_ebpf::abi::{
    EndRecord, Family, FlowIdent, GoStreamRecord, LineRecord, ProcessRecord, RecordKind,
    SegmentRecord, UnixPathRecord, end_flag, line_flag, line_stream, process_flag, segment_flag,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::event::{
    Caller, Cause, Direction, End, Endpoints, Event, FileId, Flow, FlowId, GoStream, Goroutine,
    LogStream, Monotonic, ProcessKey, Segment, StartTime, Tgid, Written,
};

/// One decoded record.
#[derive(Clone, Debug)]
pub enum Decoded<'a> {
    /// Something the later stages see as it is.
    Event(Event<'a>),
    /// A process began, changed its program, or ended: input to the naming of processes.
    Process(ProcessRecordView<'a>),
}

/// A [`ProcessRecord`] with what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRecordView<'a> {
    /// What happened.
    pub change: ProcessChange,
    /// When.
    pub time: Monotonic,
    /// The process.
    pub process: ProcessKey,
    /// Its parent. Of a fork, the process that was copied.
    pub parent: ProcessKey,
    /// Counts up with each exec of the process; a fork copies it.
    pub execs: u32,
    /// Identifier of its cgroup (version 2).
    pub cgroup: u64,
    /// `comm`, without the zero bytes that end it.
    pub comm: &'a [u8],
    /// The arguments, each ended by a zero byte. Empty unless this is an exec.
    pub args: &'a [u8],
    /// There were more arguments than these.
    pub args_cut: bool,
    /// The environment, each entry ended by a zero byte. Empty unless this is an exec.
    pub env: &'a [u8],
    /// The environment was longer than this.
    pub env_cut: bool,
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessChange {
    /// It is a new copy of its parent.
    Fork,
    /// It now runs another program.
    Exec,
    /// Its last thread has ended.
    Exit,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the record's kind has.
    #[error("the record has {have} bytes and needs {need}")]
    Short {
        /// Bytes there are.
        have: usize,
        /// Bytes the record says it has.
        need: usize,
    },
    /// A field holds what it cannot hold.
    #[error("{field} is {value}, which is not defined")]
    Value {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// Positions that run over.
    #[error("position {position} and the bytes after it do not fit in 64 bits")]
    Position {
        /// The record's position.
        position: u64,
    },
}

/// Decodes one record of the ring.
///
/// # Errors
/// When the bytes are not a record of this version of the ABI.
pub fn decode(record: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    const SEGMENT: u32 = RecordKind::Segment as u32;
    const END: u32 = RecordKind::End as u32;
    const UNIX_PATH: u32 = RecordKind::UnixPath as u32;
    const PROCESS: u32 = RecordKind::Process as u32;
    const GO_STREAM: u32 = RecordKind::GoStream as u32;
    const LINE: u32 = RecordKind::Line as u32;

    let (kind, _) = take::<u32>(record)?;
    match kind {
        SEGMENT => segment(record).map(|segment| Decoded::Event(Event::Segment(segment))),
        END => end(record).map(|end| Decoded::Event(Event::End(end))),
        UNIX_PATH => unix_path(record).map(Decoded::Event),
        PROCESS => process(record).map(Decoded::Process),
        GO_STREAM => go_stream(record).map(|stream| Decoded::Event(Event::GoStream(stream))),
        LINE => line(record).map(|written| Decoded::Event(Event::Written(written))),
        other => Err(undefined("kind", other)),
    }
}

/// When a record says it happened; `None` for those that carry no time. Only the head of the record
/// is looked at.
pub(super) fn time(record: &[u8]) -> Option<Monotonic> {
    let (kind, _) = take::<u32>(record).ok()?;
    let timed = [
        RecordKind::Segment,
        RecordKind::End,
        RecordKind::Process,
        RecordKind::GoStream,
        RecordKind::Line,
    ];
    if !timed.iter().any(|&timed| timed as u32 == kind) {
        return None;
    }
    // `time_ns` follows `kind` and `flags` in each of them.
    take::<u64>(record.get(8..)?).ok().map(|(time, _)| Monotonic(time))
}

const _: () = assert!(
    std::mem::offset_of!(SegmentRecord, time_ns) == 8
        && std::mem::offset_of!(EndRecord, time_ns) == 8
        && std::mem::offset_of!(ProcessRecord, time_ns) == 8
        && std::mem::offset_of!(GoStreamRecord, time_ns) == 8
        && std::mem::offset_of!(LineRecord, time_ns) == 8
);

fn segment(record: &[u8]) -> Result<Segment<'_>, DecodeError> {
    let (header, rest) = take::<SegmentRecord>(record)?;
    let SegmentRecord {
        kind: _,
        flags,
        time_ns,
        ident,
        tgid,
        tid,
        start_ns,
        execs: _,
        padding: _,
        position,
        skipped_before,
        skipped_after,
        copied,
        tcp_seq,
        lost_records,
        direction,
        reserved: _,
        goroutine: id,
        goroutine_parent,
        cause_flow,
        cause_position,
    } = header;
    let known = segment_flag::HAS_SEQ
        | segment_flag::TIME_IS_START
        | segment_flag::UNSEEN_BEFORE
        | segment_flag::UNREADABLE_AFTER
        | segment_flag::HEAD_TOO_LARGE
        | segment_flag::FRAME_START
        | segment_flag::NONBLOCKING
        | segment_flag::MULTIPLEXES
        | segment_flag::CAUSE_ALONE
        | segment_flag::GOROUTINE_ASKED;
    let flags = Flags::new("segment flags", flags, known)?;
    let bytes = part(rest, 0, copied, size_of::<SegmentRecord>())?;
    position
        .checked_add(u64::from(copied))
        .and_then(|end| end.checked_add(skipped_after))
        .ok_or(DecodeError::Position { position })?;
    Ok(Segment {
        flow: flow(&ident)?,
        direction: match direction {
            0 => Direction::Receive,
            1 => Direction::Send,
            other => return Err(undefined("direction", other)),
        },
        time: Monotonic(time_ns),
        time_is_start: flags.has(segment_flag::TIME_IS_START),
        process: process_key(tgid, start_ns),
        caller: Caller {
            tid,
            goroutine: goroutine(id, goroutine_parent),
            asked: flags.has(segment_flag::GOROUTINE_ASKED),
            nonblocking: flags.has(segment_flag::NONBLOCKING),
            multiplexes: flags.has(segment_flag::MULTIPLEXES),
            cause: cause(cause_flow, cause_position, flags),
        },
        position,
        skipped_before,
        bytes,
        skipped_after,
        unreadable_after: flags.has(segment_flag::UNREADABLE_AFTER),
        tcp_seq: flags.has(segment_flag::HAS_SEQ).then_some(tcp_seq),
        lost_records,
        frame_start: flags.has(segment_flag::FRAME_START),
        head_too_large: flags.has(segment_flag::HEAD_TOO_LARGE),
    })
}

fn cause(flow: u64, position: u64, flags: Flags) -> Option<Cause> {
    (flow != 0).then_some(Cause {
        flow: FlowId(flow),
        position,
        alone: flags.has(segment_flag::CAUSE_ALONE),
    })
}

fn line(record: &[u8]) -> Result<Written<'_>, DecodeError> {
    let (header, rest) = take::<LineRecord>(record)?;
    let LineRecord {
        kind: _,
        flags,
        time_ns,
        tgid,
        tid,
        start_ns,
        execs: _,
        padding: _,
        fd: _,
        stream,
        inode,
        device,
        generation,
        copied,
        lost_after,
        lost_records,
        goroutine: id,
        goroutine_parent,
        cause_flow,
        cause_position,
    } = header;
    let known = line_flag::CONTINUES
        | line_flag::UNDECIDED
        | segment_flag::MULTIPLEXES
        | segment_flag::CAUSE_ALONE;
    let flags = Flags::new("line flags", flags, known)?;
    Ok(Written {
        time: Monotonic(time_ns),
        process: process_key(tgid, start_ns),
        caller: Caller {
            tid,
            goroutine: goroutine(id, goroutine_parent),
            asked: false,
            nonblocking: false,
            multiplexes: flags.has(segment_flag::MULTIPLEXES),
            cause: cause(cause_flow, cause_position, flags),
        },
        file: FileId { device, inode, generation },
        stream: match stream {
            line_stream::STDOUT => LogStream::Stdout,
            line_stream::STDERR => LogStream::Stderr,
            line_stream::FILE => LogStream::File,
            other => return Err(undefined("stream", other)),
        },
        bytes: part(rest, 0, copied, size_of::<LineRecord>())?,
        continues: flags.has(line_flag::CONTINUES),
        lost_after,
        lost_records,
    })
}

fn process_key(tgid: u32, start_ns: u64) -> ProcessKey {
    ProcessKey { tgid: Tgid(tgid), start: StartTime::of_boottime(start_ns) }
}

fn goroutine(id: u64, parent: u64) -> Option<Goroutine> {
    NonZeroU64::new(id).map(|id| Goroutine { id, parent: NonZeroU64::new(parent) })
}

fn go_stream(record: &[u8]) -> Result<GoStream, DecodeError> {
    let (header, _) = take::<GoStreamRecord>(record)?;
    let GoStreamRecord {
        kind: _,
        stream,
        time_ns,
        flow,
        goroutine: id,
        goroutine_parent,
        tgid,
        execs: _,
        start_ns,
    } = header;
    Ok(GoStream {
        time: Monotonic(time_ns),
        process: process_key(tgid, start_ns),
        flow: flow_id(flow)?,
        stream,
        goroutine: goroutine(id, goroutine_parent).ok_or_else(|| undefined("goroutine", id))?,
    })
}

fn end(record: &[u8]) -> Result<End, DecodeError> {
    let (header, _) = take::<EndRecord>(record)?;
    let EndRecord {
        kind: _,
        flags,
        time_ns,
        ident,
        tgid,
        execs: _,
        start_ns,
        position,
        skipped,
        last_ns,
        lost_records,
    } = header;
    let known = end_flag::RECEIVE_EOF | end_flag::SEND_EOF | end_flag::CLOSED | end_flag::ERROR;
    let flags = Flags::new("end flags", flags, known)?;
    Ok(End {
        flow: flow(&ident)?,
        time: Monotonic(time_ns),
        process: process_key(tgid, start_ns),
        receive_eof: flags.has(end_flag::RECEIVE_EOF),
        send_eof: flags.has(end_flag::SEND_EOF),
        closed: flags.has(end_flag::CLOSED),
        error: flags.has(end_flag::ERROR),
        position,
        skipped,
        last: last_ns.map(|ns| (ns != 0).then_some(Monotonic(ns))),
        lost_records,
    })
}

/// A path in the file system ends at its first zero byte. A name in the abstract namespace, which
/// begins with one, may hold more of them: each is shown as `@`, as in `/proc/net/unix`.
fn unix_path(record: &[u8]) -> Result<Event<'_>, DecodeError> {
    let (header, _) = take::<UnixPathRecord>(record)?;
    let UnixPathRecord { kind: _, len, flow, path } = header;
    let undefined_len = || undefined("unix path length", len);
    let path =
        usize::try_from(len).ok().and_then(|len| path.get(..len)).ok_or_else(undefined_len)?;
    let path: Arc<str> = match path {
        [] => return Err(undefined_len()),
        [0, ..] => String::from_utf8_lossy(path).replace('\0', "@").into(),
        _ => String::from_utf8_lossy(until_zero(path)).into(),
    };
    Ok(Event::UnixPath { flow: flow_id(flow)?, path })
}

fn process(record: &[u8]) -> Result<ProcessRecordView<'_>, DecodeError> {
    const COMM: usize = std::mem::offset_of!(ProcessRecord, comm);
    let (header, rest) = take::<ProcessRecord>(record)?;
    let ProcessRecord {
        kind: _,
        flags,
        time_ns,
        tgid,
        parent,
        start_ns,
        parent_start_ns,
        execs,
        padding: _,
        cgroup,
        comm,
        args_len,
        env_len,
    } = header;
    let change = process_flag::FORK | process_flag::EXEC | process_flag::EXIT;
    let cut = process_flag::ENV_CUT | process_flag::ARGS_CUT;
    let known = Flags::new("process flags", flags, change | cut)?;
    let args = part(rest, 0, args_len, size_of::<ProcessRecord>())?;
    let env = part(rest, args.len(), env_len, size_of::<ProcessRecord>())?;
    Ok(ProcessRecordView {
        change: match flags & change {
            process_flag::FORK => ProcessChange::Fork,
            process_flag::EXEC => ProcessChange::Exec,
            process_flag::EXIT => ProcessChange::Exit,
            _ => return Err(undefined("process flags", flags)),
        },
        time: Monotonic(time_ns),
        process: process_key(tgid, start_ns),
        parent: process_key(parent, parent_start_ns),
        execs,
        cgroup,
        // The copy in `header` does not live long enough.
        comm: until_zero(record.get(COMM..COMM + comm.len()).unwrap_or_default()),
        args,
        args_cut: known.has(process_flag::ARGS_CUT),
        env,
        env_cut: known.has(process_flag::ENV_CUT),
    })
}

/// Addresses are made canonical: a peer that an IPv6 socket knows by its mapped address
/// (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is the IPv4 host that the other end and every
/// other record call `192.0.2.1`.
fn flow(ident: &FlowIdent) -> Result<Flow, DecodeError> {
    const INET: u8 = Family::Inet as u8;
    const INET6: u8 = Family::Inet6 as u8;
    const UNIX: u8 = Family::Unix as u8;

    let &FlowIdent {
        flow,
        cookie,
        local,
        remote,
        local_port,
        remote_port,
        netns,
        inode,
        family,
        from_start,
        reserved: _,
    } = ident;
    let [c0, c1, c2, c3, c4, c5, c6, c7, ..] = local;
    let unix_connection = u64::from_ne_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
    let tcp = |address: fn([u8; 16]) -> IpAddr| Endpoints::Tcp {
        local: (address(local), local_port),
        remote: (address(remote), remote_port),
    };
    Ok(Flow {
        id: flow_id(flow)?,
        endpoints: match family {
            INET => tcp(|[a, b, c, d, ..]| Ipv4Addr::new(a, b, c, d).into()),
            INET6 => tcp(|bytes| Ipv6Addr::from(bytes).to_canonical()),
            UNIX => Endpoints::Unix,
            other => return Err(undefined("address family", other)),
        },
        netns: (netns != 0).then_some(netns),
        cookie: (cookie != 0).then_some(cookie),
        inode: NonZeroU64::new(inode),
        from_start: match from_start {
            0 => false,
            1 => true,
            other => return Err(undefined("from_start", other)),
        },
        unix_connection: NonZeroU64::new(unix_connection).filter(|_| family == UNIX),
    })
}

fn flow_id(flow: u64) -> Result<FlowId, DecodeError> {
    if flow == 0 { Err(undefined("flow", flow)) } else { Ok(FlowId(flow)) }
}

/// A word of flags of which only the known bits are set.
#[derive(Clone, Copy)]
struct Flags(u32);

impl Flags {
    fn new(field: &'static str, flags: u32, known: u32) -> Result<Self, DecodeError> {
        if flags & !known == 0 { Ok(Self(flags)) } else { Err(undefined(field, flags)) }
    }

    fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

fn undefined(field: &'static str, value: impl Into<u64>) -> DecodeError {
    DecodeError::Value { field, value: value.into() }
}

/// A copy of the structure at the beginning (records are not aligned in a recording), and the rest.
fn take<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes)
        .map_err(|_| DecodeError::Short { have: bytes.len(), need: size_of::<T>() })
}

/// `len` bytes of `rest` from `start`; `header` is the length of what came before `rest`.
fn part(rest: &[u8], start: usize, len: u32, header: usize) -> Result<&[u8], DecodeError> {
    let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
    rest.get(start..end)
        .ok_or(DecodeError::Short { have: header + rest.len(), need: header.saturating_add(end) })
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
