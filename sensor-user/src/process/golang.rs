//! Programs written in Go: recognised by what Go's linker leaves in every executable, stripped or not,
//! and where they keep what the kernel side reads of them. Pure: bytes in, facts out.
//!
//! What is not known for certain is left out: a release of Go (or gRPC) that is not in the tables of
//! [`layout`], a build of Go's development branch, a thread pointer whose use cannot be told.

mod buildinfo;
mod functions;
mod layout;

use sensor_ebpf::abi::{GoProgram, GoStreams};

use super::elf::{Elf, ElfError};
pub use buildinfo::BuildInfo;
use functions::Function;
pub use functions::Site;

/// The longest `.go.buildinfo`, in bytes: that of a program with a thousand modules has 100,000.
const BUILD_INFO: u64 = 1 << 20;

/// What is known of a program written in Go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Go's version, as its linker wrote it (`go1.26.8`).
    pub version: String,
    /// For the kernel side; none where this version, or this way of linking, is not known.
    pub layout: Option<GoProgram>,
    /// Where probes tell more.
    pub probes: Vec<Probe>,
}

/// A function of the program, and what is to be attached to its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What for.
    pub kind: ProbeKind,
    /// Its first instruction.
    pub site: Site,
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Who asks by the HTTP/1 client of net/http. (Its HTTP/2 client needs none: what writes a request was
    /// started by who asks, and is of that goroutine's making.)
    RoundTrip,
    /// Whose a stream is.
    Stream(GoStreams),
}

/// Names of functions.
mod name {
    pub(super) const TCP_CLOSE: &str = "net.(*TCPConn).Close";
    pub(super) const UNIX_CLOSE: &str = "net.(*UnixConn).Close";
    pub(super) const WRAPPER_CLOSE: &str = "golang.org/x/net/http2/h2c.(*bufConn).Close";
    pub(super) const ROUND_TRIP: &str = "net/http.(*persistConn).roundTrip";
    pub(super) const HTTP_HANDLER: &str = "net/http.(*http2serverConn).runHandler";
    pub(super) const HTTP_HANDLER_1_27: &str = "net/http/internal/http2.(*serverConn).runHandler";
    pub(super) const X_NET_HANDLER: &str = "golang.org/x/net/http2.(*serverConn).runHandler";
    pub(super) const GRPC_WRITE: &str =
        "google.golang.org/grpc/internal/transport.(*http2Client).write";
    pub(super) const GRPC_WRITE_1_68: &str =
        "google.golang.org/grpc/internal/transport.(*http2Client).Write";
    pub(super) const GRPC_HANDLE: &str = "google.golang.org/grpc.(*Server).handleStream";
    pub(super) const GRPC_SERVER_CLOSE: &str =
        "google.golang.org/grpc/internal/transport.(*http2Server).Close";
}

/// The functions that are looked for.
const NAMES: [&str; 11] = [
    name::ROUND_TRIP,
    name::HTTP_HANDLER,
    name::HTTP_HANDLER_1_27,
    name::X_NET_HANDLER,
    name::GRPC_WRITE,
    name::GRPC_WRITE_1_68,
    name::GRPC_HANDLE,
    name::TCP_CLOSE,
    name::UNIX_CLOSE,
    name::WRAPPER_CLOSE,
    name::GRPC_SERVER_CLOSE,
];

/// The first of [`NAMES`] may be probed; the others are compared with.
const PROBED: usize = 7;

/// Looks at an executable, of which only what is needed is read. None where it is not written in Go.
/// With `probes`, the functions for these are looked for.
///
/// # Errors
/// When it is damaged, cannot be read, or reading it costs too much.
pub fn program(elf: &Elf<'_>, probes: bool) -> Result<Option<Program>, ElfError> {
    let sections = elf.sections()?;
    let Some(range) = sections.named(".go.buildinfo").and_then(|section| section.range) else {
        return Ok(None);
    };
    let Some(len) = usize::try_from(range.len).ok().filter(|_| range.len <= BUILD_INFO) else {
        return Err(ElfError::Budget("more than 1 MiB of .go.buildinfo"));
    };
    let mut section = vec![0; len];
    elf.reader().fill(range.offset, &mut section)?;
    let Some(info) = BuildInfo::parse(&section) else { return Ok(None) };
    let go = layout::of_go(info.version);
    let thread_g = if go.is_some() { elf.thread_g(&sections)? } else { None };
    let layout = go.zip(thread_g).map(|(go, thread_g)| GoProgram {
        thread_g,
        goid: go.goid,
        parent_goid: go.parent_goid,
        ..GoProgram::default()
    });
    let mut program = Program { version: info.version.to_owned(), layout, probes: Vec::new() };
    if probes && program.layout.is_some() {
        let found = functions::find(elf, &sections, &NAMES, PROBED)?;
        program.find_probes(&found, &info);
    }
    Ok(Some(program))
}

impl Program {
    /// Finds the functions of the versions that are known.
    fn find_probes(&mut self, found: &[Option<Function>], info: &BuildInfo<'_>) {
        let Some(layout) = &mut self.layout else { return };
        let function = |name: &str| {
            NAMES
                .iter()
                .zip(found)
                .find_map(|(&is, found)| (is == name).then_some(found.as_ref())?)
        };
        let address = |name| function(name).map_or(0, |function| function.address);
        layout.conn_close = [address(name::TCP_CLOSE), address(name::UNIX_CLOSE)];
        if layout.conn_close == [0, 0] {
            return;
        }
        layout.wrapper_close = address(name::WRAPPER_CLOSE);
        let mut add = |kind, function: &Function| {
            self.probes.push(Probe { kind, site: function.site.clone() });
        };
        if let Some((conn, shared)) = layout::of_persist_conn(info.version)
            && let Some(round_trip) = function(name::ROUND_TRIP)
        {
            layout.round_trip = round_trip.address;
            (layout.round_trip_conn, layout.round_trip_shared) = (conn, shared);
            add(ProbeKind::RoundTrip, round_trip);
        }
        let module = |path| info.module(path);
        let grpc = module("google.golang.org/grpc").and_then(layout::of_grpc);
        let streams = [
            (
                GoStreams::GrpcClient,
                grpc.map(|(client, _)| client),
                function(name::GRPC_WRITE).or_else(|| function(name::GRPC_WRITE_1_68)),
                0,
            ),
            (
                GoStreams::GrpcServer,
                grpc.map(|(_, server)| server).filter(|_| address(name::GRPC_SERVER_CLOSE) != 0),
                function(name::GRPC_HANDLE),
                address(name::GRPC_SERVER_CLOSE),
            ),
            (
                GoStreams::Http,
                layout::of_http(info.version),
                function(name::HTTP_HANDLER).or_else(|| function(name::HTTP_HANDLER_1_27)),
                0,
            ),
            (
                GoStreams::XNet,
                module("golang.org/x/net").and_then(layout::of_x_net),
                function(name::X_NET_HANDLER),
                0,
            ),
        ];
        for (which, offsets, function, transport_method) in streams {
            if let (Some(offsets), Some(function)) = (offsets, function) {
                layout.streams[which as usize] = offsets.probe(function.address, transport_method);
                add(ProbeKind::Stream(which), function);
            }
        }
    }
}

#[cfg(test)]
mod tests;
