//! A client and a server that are traced by one sensor, but see their connection differently: from two network
//! namespaces with a NAT between them, and over a Unix socket behind a proxy.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use sensor_tests::both_engines;
use sensor_tests::namespaces::{CLIENT, Namespaces, ROUTER, SERVER, SERVICE};
use sensor_tests::process::{Process, fresh_directory};
use sensor_tests::sensor::{Engine, Report, SpanJson, assert_status, python, tool};
use sensor_tests::workloads::{curl, curl_marked, nginx, source, traced};

/// How long a server may take until it listens.
const READY: Duration = Duration::from_secs(30);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const MINTED: &str = "00f067aa0ba902b7";

both_engines!(one_trace_across_a_destination_nat, a_source_nat_hides_the_client, a_unix_socket);

/// The server's port behind the address of the service.
const PORT: u16 = 8080;

/// Three requests from the client's namespace to the service, over one connection: without a trace context, but
/// for the last.
fn across(engine: Engine, rules: &str) -> Option<Report> {
    let (python, program) = (python()?, tool("curl")?);
    let namespaces = Namespaces::new(rules).unwrap()?;
    let mut command = Command::new(python);
    command.arg(source("python/server.py")).arg(format!("{SERVER}:{PORT}"));
    let directory = fresh_directory("namespaces").unwrap();
    let server = Process::start(&mut namespaces.server(&command), directory, &[]).unwrap();
    wait_for_listener(&server);
    let context = format!("traceparent: 00-{TRACE}-{MINTED}-01");
    let urls = [0, 1, 2].map(|i| format!("http://{SERVICE}/echo?m={i}"));
    let requests: [&[&str]; 3] =
        [&[&urls[0]], &[&urls[1], "-d", "some"], &[&urls[2], "-H", &context]];
    let client = namespaces.client(&curl(&program, &requests));
    let (_, report) = traced(engine, &[server.pid()], &[client], 6).unwrap();
    report.assert_delivered(6);
    Some(report)
}

/// Waits until a process, in whatever network namespace, listens on [`PORT`] (proc_pid_net(5)).
fn wait_for_listener(server: &Process) {
    let deadline = Instant::now() + READY;
    let address = u32::from_ne_bytes(SERVER.parse::<Ipv4Addr>().unwrap().octets());
    let listens = format!(" {address:08X}:{PORT:04X} 00000000:0000 0A ");
    let table = format!("/proc/{}/net/tcp", server.pid());
    while !std::fs::read_to_string(&table).unwrap_or_default().contains(&listens) {
        assert!(Instant::now() < deadline, "it does not listen: {}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Both ends of the requests, server's first.
fn ends(report: &Report) -> Vec<[&SpanJson; 2]> {
    let both = |i| report.both_ends(&format!("m={i}"));
    (0..3).filter_map(both).map(|(server, client)| [server, client]).collect()
}

/// The client calls an address that is nobody's: what it says of the server is not what the server is. The trace
/// derives from what is the same at both ends.
fn one_trace_across_a_destination_nat(engine: Engine) {
    let rules = format!(
        "chain in {{ type nat hook prerouting priority dstnat;
           ip daddr {SERVICE} tcp dport 80 dnat to {SERVER}:{PORT}
         }}"
    );
    let Some(report) = across(engine, &rules) else { return };
    let ends = ends(&report);
    for [server, client] in &ends {
        assert_eq!(client.str("network.peer.address"), SERVICE);
        assert_eq!(client.int("network.peer.port"), 80);
        assert_eq!(server.str("network.local.address"), SERVER);
        assert_eq!(server.int("network.local.port"), i64::from(PORT));
        assert_eq!(client.str("network.local.address"), CLIENT);
        assert_eq!(server.str("client.address"), CLIENT);
        assert_eq!(server.get("client.port"), client.get("network.local.port"));
        assert_status(server, 200);
        assert_status(client, 200);
        assert_eq!(server.trace_id(), client.trace_id(), "{server:#?} {client:#?}");
        assert_eq!(server.parent_span_id(), Some(client.span_id()), "{server:#?}");
    }
    if let [[one, _], [other, _], [last, client]] = ends[..] {
        assert_ne!(one.trace_id(), other.trace_id());
        assert_eq!((last.trace_id(), client.span_id()), (TRACE, MINTED));
        assert_eq!(last.parent_span_id(), Some(MINTED));
    }
}

/// Where the client's address is translated too, the ends have nothing in common that the kernel knows: two
/// traces, and none of them wrong. A context in the request joins them.
fn a_source_nat_hides_the_client(engine: Engine) {
    let rules = format!(
        "chain in {{ type nat hook prerouting priority dstnat;
           ip daddr {SERVICE} tcp dport 80 dnat to {SERVER}:{PORT}
         }}
         chain out {{ type nat hook postrouting priority srcnat;
           ip daddr {SERVER} masquerade random
         }}"
    );
    let Some(report) = across(engine, &rules) else { return };
    let ends = ends(&report);
    for (i, [server, client]) in ends.iter().enumerate() {
        assert_eq!(client.str("network.local.address"), CLIENT);
        assert_eq!(server.str("client.address"), ROUTER);
        assert_ne!(server.get("client.port"), client.get("network.local.port"));
        assert_eq!(client.parent_span_id(), None);
        let joined = i == 2 && ends.len() == 3;
        assert_eq!(server.trace_id() == client.trace_id(), joined, "{server:#?} {client:#?}");
        assert_eq!(server.parent_span_id(), joined.then_some(MINTED), "{server:#?}");
    }
}

/// curl asks nginx, which asks a server over a Unix socket.
fn a_unix_socket(engine: Engine) {
    let (Some(python), Some(program)) = (python(), tool("curl")) else { return };
    let directory = fresh_directory("unix").unwrap();
    let path = directory.join("socket");
    let mut command = Command::new(python);
    command.arg(source("python/server.py")).arg(&path).arg("threads");
    let server = Process::start(&mut command, directory, &[]).unwrap();
    let deadline = Instant::now() + READY;
    while std::os::unix::net::UnixStream::connect(&path).is_err() {
        assert!(Instant::now() < deadline, "it does not listen: {}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let location = format!("location /echo {{ proxy_pass http://unix:{}:/echo; }}", path.display());
    let Some(proxy) = nginx(&location).unwrap() else { return };
    let asked: [(&str, &[&str]); 3] = [("/echo", &[]), ("/echo", &["-d", "some"]), ("/echo", &[])];
    let client = curl_marked(&program, &proxy, &asked);
    let pids = [server.pid(), proxy.pid()];
    let (_, report) = traced(engine, &pids, &[client], 4 * asked.len()).unwrap();
    report.assert_delivered(4 * asked.len());
    let is_unix = |span: &&SpanJson| span.str("network.transport") == "unix";
    let traces: Vec<_> = (0..asked.len())
        .filter_map(|i| {
            let query = format!("m={i}");
            let (unix, tcp): (Vec<_>, Vec<_>) = report.spans.iter().partition(is_unix);
            report.both_ends_of(tcp, &query)?;
            let (server, client) = report.both_ends_of(unix, &query)?;
            for span in [server, client] {
                assert_status(span, 200);
                assert_eq!(span.str("server.address"), path.to_str().unwrap(), "{span:#?}");
            }
            assert_eq!(server.trace_id(), client.trace_id(), "{server:#?} {client:#?}");
            assert_eq!(server.parent_span_id(), Some(client.span_id()), "{server:#?}");
            Some(client.trace_id())
        })
        .collect();
    assert!(traces.iter().enumerate().all(|(i, trace)| !traces[..i].contains(trace)));
}
