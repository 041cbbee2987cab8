//! Flags as they are written. Values are text here, but for the choices that clap checks: what they mean, and
//! whether they can be used, is decided in one place for all of them ([`super::run`] and its siblings).

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::process::Trust;

/// Flags of `sensor run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunFlags {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the help text of the command")]
    pub capture: CaptureFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub context: ContextFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub output: OutputFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub export: ExportFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub callers: CallerFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub govern: GovernFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub rules: RuleFlags,
    /// Stop after this long, for example 20s, 500ms or 5m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", help_heading = "Capture")]
    pub duration: Option<String>,
}

/// Flags of `sensor record`.
#[derive(Args, Clone, Debug, Default)]
pub struct RecordFlags {
    /// Where the recording goes: a new file, which only this user may read
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Replace a recording that is there, once the new one is complete
    #[arg(long)]
    pub force: bool,
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
    pub context: ContextFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub output: OutputFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub export: ExportFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub callers: CallerFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub govern: GovernFlags,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub rules: RuleFlags,
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
    /// Follow what event loops act on, from system call to system call: on or off. It costs every system call of this host some nanoseconds, and those of traced processes more [default: on]
    #[arg(long, value_name = "on|off", help_heading = "Capture")]
    pub event_loops: Option<String>,
    /// Room for events between kernel and sensor: a power of two from 64KiB to 1GiB. Larger survives longer bursts [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Capture")]
    pub ring_size: Option<String>,
    /// Probes in programs written in Go, which tell who asks where another goroutine sends: on or off. 1 to 2 microseconds for each request that a Go client sends and each stream of HTTP/2 that a Go program handles [default: on]
    #[arg(long, value_name = "SWITCH", help_heading = "Capture")]
    pub go_probes: Option<String>,
    /// How far a process is believed in what its OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES declare
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, help_heading = "Capture")]
    pub trust_resource: Trust,
    /// Take what processes write to their logs (standard output, standard error, --log-file): auto (of the processes named by --pid, --comm, --exe or --cgroup; where none is named, of those in which an exchange was seen, from then on), on (of all that are traced) or off. While it is off, or there is no such process, nothing is attached for it; else each write on this host costs some nanoseconds, and each line that is taken about half a microsecond [default: auto]
    #[arg(long, value_name = "auto|on|off", help_heading = "Logs")]
    pub logs: Option<String>,
    /// Not the logs of this service (its service.name). Repeatable, or a,b
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', help_heading = "Logs")]
    pub log_skip: Vec<String>,
    /// What those processes write to files with such paths, too, for example '/var/log/app/*.log' (** crosses directories). As the process sees the path; files that come later count. Repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Logs")]
    pub log_file: Vec<String>,
    /// Also log what the kernel side says; see --verbose of the command
    #[arg(skip)]
    pub verbose: bool,
}

/// What is kept of requests.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What to keep of requests")]
pub struct ContextFlags {
    /// Header with an identifier of the request: kept as an attribute, and used to tell which requests belong together. Repeatable, or a,b; none for none. Also SENSOR_REQUEST_ID_HEADERS [default: x-request-id,x-trace-id,x-correlation-id]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub request_id_header: Vec<String>,
    /// Key of W3C Baggage (or of Jaeger's uberctx-*) to keep as the attribute baggage.KEY. Repeatable, or a,b. Also SENSOR_BAGGAGE_KEYS [default: no baggage is kept]
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub baggage_key: Vec<String>,
}

/// What goes to standard output.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// On standard output: pretty (a line per span), tree (per trace), json (a line per span, then a summary line) or none [default: pretty on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<String>,
}

/// Where else spans and log records go.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Export")]
pub struct ExportFlags {
    /// Send spans, and log records unless there is a Loki for them, to this OpenTelemetry backend, for example http://localhost:4318. Also OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_EXPORTER_OTLP_* variables; OTEL_LOGS_EXPORTER (none, or otlp beside a Loki) decides on log records
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub otlp_endpoint: Option<String>,
    /// http/protobuf (usually port 4318) or grpc (usually port 4317) [default: http/protobuf]
    #[arg(long, value_name = "PROTOCOL")]
    pub otlp_protocol: Option<String>,
    /// Send log records, and one of each server exchange, to this Loki, for example http://localhost:3100. Also SENSOR_LOKI_ENDPOINT, _USERNAME and _PASSWORD or _BEARER_TOKEN, _TIMEOUT and _CERTIFICATE
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub loki_endpoint: Option<String>,
    /// Loki tenant (X-Scope-OrgID). Also SENSOR_LOKI_TENANT
    #[arg(long, value_name = "NAME")]
    pub loki_tenant: Option<String>,
}

/// Whose trace contexts count.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Callers")]
pub struct CallerFlags {
    /// Network of callers whose sampling decisions count, for example 10.244.0.0/16
    ///
    /// Callers that are seen on this node count anyway. For a cluster, name the networks of its pods
    /// and nodes. Repeatable, or a,b. Once a network is named, all other addresses are foreign [default:
    /// no network; private addresses may ask that a trace be recorded, not that it be left out].
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_peer: Vec<String>,
    /// Traces of foreign callers: keep, or restart (a new trace with a link) [default: keep]
    #[arg(long, value_name = "WHAT")]
    pub foreign_trace: Option<String>,
}

/// Which spans go out.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Sampling")]
pub struct GovernFlags {
    /// Which traces: always_on, always_off, traceidratio:RATIO, these with parentbased_ before them (a trusted caller's decision counts, see --trusted-peer), or adaptive[:min=0.01,max=0.2,errors=0.1,window=60s]. Also OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG [default: parentbased_always_on]
    #[arg(long, value_name = "NAME[:ARG]")]
    pub sampler: Option<String>,
    /// Keep spans that are errors although the sampler leaves their traces out
    #[arg(long)]
    pub keep_errors: bool,
    /// Keep spans that took this long or longer although the sampler leaves their traces out, for example 500ms
    #[arg(long, value_name = "DURATION")]
    pub keep_slow: Option<String>,
    /// Spans that their processes export themselves: keep, skip (leave them out) or link (mark them, under ids of their own) [default: link with --otlp-endpoint, else keep]
    #[arg(long, value_name = "WHAT")]
    pub existing_spans: Option<String>,
}

/// Rules for spans and records of logs.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rules for spans and log records")]
pub struct RuleFlags {
    /// Leave out spans and log records for which this holds, for example 'url.path ~ ^/health' or 'service = shop and level < warn'. Repeatable; see below
    #[arg(long, value_name = "EXPR")]
    pub drop: Vec<String>,
    /// Keep a part of the log records, from 0 to 1, or of those for which an expression holds, for example 0.1 or 'level = debug=0.01'. Those of one trace stay together; errors are all kept. Repeatable: the first that holds counts
    #[arg(long, value_name = "[EXPR=]RATIO")]
    pub log_sample: Vec<String>,
    /// At most so many log records of each service's stdout, stderr or file, for example 100, 100/s:500 (500 at once) or 6000/m. Errors have as much again [default: no limit]
    #[arg(long, value_name = "N[/s][:BURST]")]
    pub log_rate: Option<String>,
    /// The class (business, middleware, infrastructure) of log records for which an expression holds, for example 'middleware: caller ~ ^gorm'. Repeatable: the first that holds counts
    #[arg(long, value_name = "CLASS: EXPR")]
    pub log_class: Vec<String>,
    /// Take values out of spans and log records: name:GLOB=ACTION by the names of fields, pattern:REGEX=ACTION by what they look like, or KNOWN=ACTION for secrets that are known. ACTION is mask, hash (needs SENSOR_REDACT_KEY), drop or keep. Repeatable: the first that matches counts. Also SENSOR_REDACT, a rule a line; see below
    #[arg(long, value_name = "RULE")]
    pub redact: Vec<String>,
    /// Mask secrets that are known (passwords, tokens, cookies, card numbers...) wherever they turn up: on or off. Also SENSOR_REDACT_DEFAULTS [default: on]
    #[arg(long, value_name = "on|off")]
    pub redact_defaults: Option<String>,
    /// Mask e-mail addresses too, as --redact email=mask
    #[arg(long)]
    pub redact_email: bool,
}
