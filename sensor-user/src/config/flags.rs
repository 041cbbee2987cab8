//! Flags as they are written. All values are text here: what they mean, and whether they can be
//! used, is decided in one place for all of them ([`super::run`] and its siblings).

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Flags of `sensor run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunFlags {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help text of the command")]
    pub capture: CaptureFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub output: OutputFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub export: ExportFlags,
    /// Stop after this long, for example 20s, 500ms or 5m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", help_heading = "Capture")]
    pub duration: Option<String>,
}

/// Flags of `sensor record`.
#[derive(Args, Clone, Debug, Default)]
pub struct RecordFlags {
    /// Where the recording goes. A file that is already there is replaced
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help text of the command")]
    pub capture: CaptureFlags,
    /// Stop after this long, for example 20s, 500ms or 5m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", help_heading = "Capture")]
    pub duration: Option<String>,
}

/// Flags of `sensor replay`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReplayFlags {
    /// A file of `sensor record`, a pcap or a pcapng (told apart by their first bytes)
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Keep the pace of the recording [default: as fast as it goes]
    #[arg(long)]
    pub real_time: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help text of the command")]
    pub output: OutputFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub export: ExportFlags,
}

/// What to trace, and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What to trace (none of these: everything on this host)")]
pub struct CaptureFlags {
    /// This process and its children. Repeatable, or 12,34
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub pid: Vec<String>,
    /// Processes whose command name (as in `ps -o comm`, at most 15 bytes) matches, and their children. Repeatable
    #[arg(long, value_name = "GLOB")]
    pub comm: Vec<String>,
    /// Processes whose executable matches, and their children: by file name ('python3*'), or by path if there is a slash ('/opt/**/node'). Repeatable
    #[arg(long, value_name = "GLOB")]
    pub exe: Vec<String>,
    /// Processes in this cgroup (version 2) or below, for example /sys/fs/cgroup/system.slice/nginx.service. Repeatable
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub cgroup: Vec<PathBuf>,
    /// Of those processes, only TCP connections with this port at either end. Repeatable, or 80,8080
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub port: Vec<String>,
    /// How to hook the kernel: auto, socket (Linux 6.3 and later) or syscall. `sensor doctor` says what works here [default: auto]
    #[arg(long, value_name = "ENGINE", help_heading = "Capture")]
    pub engine: Option<String>,
    /// Room for events between kernel and sensor: a power of two from 64KiB to 1GiB. Larger survives longer bursts [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Capture")]
    pub ring_size: Option<String>,
    /// Probes in programs written in Go, which tell who asks where another goroutine sends: on or off. 1 to 2 microseconds for each request that a Go client sends and each stream of HTTP/2 that a Go program handles [default: on]
    #[arg(long, value_name = "SWITCH", help_heading = "Capture")]
    pub go_probes: Option<String>,
    /// Also log what the kernel side says; see --verbose of the command
    #[arg(skip)]
    pub verbose: bool,
}

/// What goes to standard output.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// On standard output: pretty, json (a line per span, then a summary line) or none [default: pretty on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<String>,
}

/// Where else spans go.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Export")]
pub struct ExportFlags {
    /// Send spans to this OpenTelemetry backend, for example http://localhost:4318. Also OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_EXPORTER_OTLP_* variables
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub otlp_endpoint: Option<String>,
    /// http/protobuf (usually port 4318) or grpc (usually port 4317) [default: http/protobuf]
    #[arg(long, value_name = "PROTOCOL")]
    pub otlp_protocol: Option<String>,
    /// Send a log line per server exchange to this Loki, for example http://localhost:3100
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub loki_endpoint: Option<String>,
    /// Loki tenant (X-Scope-OrgID)
    #[arg(long, value_name = "NAME")]
    pub loki_tenant: Option<String>,
}
