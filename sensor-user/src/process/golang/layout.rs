//! Where releases of Go keep what is read of them, on machines of 64 bits. Each was built, and its debug
//! information read (`dwarf.StructType` of the first and the last minor release there was): a release that
//! has no line is not known, and none is guessed.

use sensor_ebpf::abi::GoStreamProbe;

/// Offsets within Go's runtime and standard library, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Go {
    /// `runtime.g.goid` (runtime/runtime2.go).
    pub(super) goid: u16,
    /// `runtime.g.parentGoid`, or 0: there is none before 1.21.
    pub(super) parent_goid: u16,
}

/// Of a version as the linker writes it.
pub(super) fn of_go(version: &str) -> Option<Go> {
    let go = |goid, parent_goid| Some(Go { goid, parent_goid });
    match minor(version)? {
        18..=20 => go(152, 0),
        21 | 22 => go(152, 272),
        // gobuf.bp and syscallbp came, then gobuf.ret went.
        23 | 24 => go(160, 280),
        25 => go(152, 272),
        26 | 27 => go(152, 280),
        _ => None,
    }
}

/// Where the parts of a stream of HTTP/2 are. The kernel side believes none of it that does not fit
/// together: the stream has to point back to its transport, and the transport to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streams {
    /// As [`GoStreamProbe`] has them.
    pub(super) conn: u16,
    pub(super) id: u16,
    pub(super) back: u16,
    pub(super) indirect: bool,
}

impl Streams {
    /// For the kernel side, of the function at `entry`.
    pub(super) fn probe(self, entry: u64, transport_method: u64) -> GoStreamProbe {
        let Self { conn, id, back, indirect } = self;
        GoStreamProbe { entry, transport_method, conn, id, back, indirect: u16::from(indirect) }
    }
}

/// `net/http.persistConn.conn` and `isClientConn`, by the version of Go (net/http/transport.go).
pub(super) fn of_persist_conn(version: &str) -> Option<(u16, u16)> {
    match minor(version)? {
        18..=25 => Some((80, 0)),
        26 | 27 => Some((80, 162)),
        _ => None,
    }
}

/// The HTTP/2 server in net/http (net/http/h2_bundle.go; since 1.27 net/http/internal/http2).
pub(super) fn of_http(version: &str) -> Option<Streams> {
    let conn = match minor(version)? {
        18..=26 => 16,
        27 => 24,
        _ => return None,
    };
    Some(Streams { conn, id: 8, back: 0, indirect: false })
}

/// The same in golang.org/x/net/http2, by the module's version.
pub(super) fn of_x_net(version: &str) -> Option<Streams> {
    match module_minor(version, 0)? {
        15..=57 => Some(Streams { conn: 16, id: 8, back: 0, indirect: false }),
        _ => None,
    }
}

/// gRPC's client and server (google.golang.org/grpc/internal/transport), by the module's version.
pub(super) fn of_grpc(version: &str) -> Option<(Streams, Streams)> {
    let of = |client_conn, server_conn, id, [client_back, server_back]: [u16; 2], indirect| {
        let client = Streams { conn: client_conn, id, back: client_back, indirect };
        Some((client, Streams { conn: server_conn, back: server_back, ..client }))
    };
    // What points back is an interface where it is a server's, and before 1.69 a client's: behind its type.
    match module_minor(version, 1)? {
        58 => of(128, 32, 0, [24, 16], false),
        60..=65 => of(128, 16, 0, [24, 16], false),
        66..=68 => of(128, 16, 0, [32, 16], false),
        // A Stream behind a ClientStream and a ServerStream.
        69..=76 => of(128, 16, 0, [8, 16], true),
        // Within them.
        77..=82 => of(128, 16, 108, [328, 336], false),
        83 | 84 => of(128, 16, 108, [360, 368], false),
        _ => None,
    }
}

/// `N` of a module's release `vMAJOR.N.M`; a version of another kind is none.
fn module_minor(version: &str, major: u32) -> Option<u32> {
    let mut numbers =
        version.strip_prefix('v')?.split('.').map(|number| number.parse::<u32>().ok());
    let (found, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()?);
    (found == major && patch.is_some() && numbers.next().is_none()).then_some(minor)
}

/// `N` of a release `go1.N` or `go1.N.M`, whatever its builder has appended after a blank or a hyphen. A
/// beta, a release candidate or a development version is none.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let end = rest.find([' ', '-', '+']).unwrap_or(rest.len());
    let mut numbers = rest.get(..end)?.split('.');
    let minor = numbers.next()?.parse().ok()?;
    let patch = numbers.next().is_none_or(|patch| patch.parse::<u32>().is_ok());
    (patch && numbers.next().is_none()).then_some(minor)
}
