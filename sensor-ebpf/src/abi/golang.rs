//! What user space tells the programs about a process that runs a program written in Go.

/// Where such a program keeps what the probes read: a value of the map `GO`, by process id. Offsets are in
/// bytes; they depend on the version of Go and of its modules. Addresses are those of the executable
/// before it is loaded anywhere; 0 where there is no such function.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct GoProgram {
    /// Where a thread has the address of its current goroutine's `runtime.g`, from its thread pointer.
    pub thread_g: i32,
    /// `runtime.g.goid`, u64.
    pub goid: u16,
    /// `runtime.g.parentGoid`, u64, or 0: before Go 1.21.
    pub parent_goid: u16,
    /// The method `Close` of `*net.TCPConn`, and of `*net.UnixConn`: they tell these two from other
    /// connections, those of TLS for example.
    pub conn_close: [u64; 2],
    /// The method `Close` of a connection whose first field is another, a `net.Conn`
    /// (`golang.org/x/net/http2/h2c.(*bufConn).Close`).
    pub wrapper_close: u64,
    /// `net/http.(*persistConn).roundTrip`.
    pub round_trip: u64,
    /// `net/http.persistConn.conn`, a `net.Conn`.
    pub round_trip_conn: u16,
    /// `net/http.persistConn.isClientConn`, a bool, or 0: before Go 1.26. Such a connection may be asked by
    /// several goroutines at once, who wait for their turn within the function.
    pub round_trip_shared: u16,
    /// Zero.
    pub reserved: u32,
    /// The functions that know a stream of HTTP/2, by [`GoStreams`].
    pub streams: [GoStreamProbe; GoStreams::COUNT],
}

/// A function that each stream of HTTP/2 passes, and how its connection and number are found.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct GoStreamProbe {
    /// It.
    pub entry: u64,
    /// The first method of its transport's type, where that comes as an interface, or 0: what has
    /// another one is another transport.
    pub transport_method: u64,
    /// The transport's field with the connection, a `net.Conn`.
    pub conn: u16,
    /// The stream's field with its number, u32.
    pub id: u16,
    /// The stream's field that points back to its transport: where it does not, the stream is not what
    /// it is taken for.
    pub back: u16,
    /// 1 where the number's offset is that in what the stream's first field points to.
    pub indirect: u16,
}

/// The functions, as indices of [`GoProgram::streams`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoStreams {
    /// `google.golang.org/grpc/internal/transport.(*http2Client).write` (`Write` before 1.69): the
    /// goroutine that calls.
    GrpcClient = 0,
    /// `google.golang.org/grpc.(*Server).handleStream`: the goroutine that handles.
    GrpcServer = 1,
    /// `runHandler` of the server of HTTP/2 in net/http: the goroutine that handles.
    Http = 2,
    /// The same of golang.org/x/net/http2.
    XNet = 3,
}

impl GoStreams {
    /// How many there are.
    pub const COUNT: usize = 4;
}
