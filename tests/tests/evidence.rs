//! What a client or a process says is no proof: neither of whose a line is, nor of who a process is.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use sensor_tests::both_engines;
use sensor_tests::sensor::{Engine, LogJson, Report, Sensor, python};
use sensor_tests::workloads::{Server, source};

both_engines!(an_id_that_anybody_has_is_no_evidence, a_process_does_not_say_where_it_runs);

/// How long nothing may come before it is taken to be all.
const QUIET: Duration = Duration::from_secs(10);

const ID: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

const HOSTILE: &str = "k8s.namespace.name=prod,k8s_namespace_name=prod,sensor.x=y,telemetry.sdk.name=z,\
    container.id=3f5c8d9e0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef01234567,service.name=payments";

fn service(attributes: Option<&str>) -> Option<Server> {
    let mut command = Command::new(python()?);
    command.arg(source("evidence/service.py"));
    command.env_remove("OTEL_SERVICE_NAME").env_remove("OTEL_RESOURCE_ATTRIBUTES");
    if let Some(attributes) = attributes {
        command.env("OTEL_RESOURCE_ATTRIBUTES", attributes);
    }
    Some(Server::on_port("evidence", command).unwrap())
}

/// A request with that id, and its answer; the test itself is not traced.
fn ask(service: &Server, id: &str) {
    let mut connection = TcpStream::connect(service.address).unwrap();
    write!(connection, "GET /{id} HTTP/1.1\r\nHost: a\r\nX-Request-ID: {id}\r\n\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(connection).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

fn line<'a>(report: &'a Report, id: &str) -> &'a LogJson {
    let is = |it: &&LogJson| it.message() == format!("swept request_id={id}");
    report.logs.iter().find(is).unwrap()
}

fn an_id_that_anybody_has_is_no_evidence(engine: Engine) {
    let Some(service) = service(None) else { return };
    let sensor = Sensor::with_logs(engine, &[service.pid()], &[]);
    // Its line comes first, while evidence lasts.
    let ids = [ID, "None", "undefined", "00000000-0000-0000-0000-000000000001"];
    ids.iter().for_each(|id| ask(&service, id));
    sensor.wait_while_logging(ids.len(), ids.len(), QUIET);
    let report = sensor.stop();
    if report.runs_missed() > 0 {
        return;
    }
    for id in &ids[1..] {
        let line = line(&report, id);
        assert_eq!((line.text("trace_id"), line.text("correlation")), (None, None), "{line:#?}");
        let span = report.spans.iter().find(|span| span.path() == format!("/{id}")).unwrap();
        let told = span.get("http.request.header.x-request-id").unwrap();
        assert_eq!(told, &serde_json::json!([id]), "it is told, and proves nothing");
    }
    let line = line(&report, ID);
    let span = report.spans.iter().find(|span| span.path() == format!("/{ID}")).unwrap();
    assert_eq!(line.text("correlation"), Some("request_id"), "{line:#?}");
    assert_eq!(line.text("trace_id"), Some(span.trace_id()));
    assert!(line.after_response(), "{line:#?}");
}

/// Loki's push request (`pkg/push/push.proto`), as far as its labels.
#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
}

/// Takes what is pushed, and keeps the labels of all streams.
struct Loki {
    url: String,
    labels: Arc<Mutex<Vec<String>>>,
}

impl Loki {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let labels = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&labels);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let all = Arc::clone(&all);
                std::thread::spawn(move || {
                    let mut connection = BufReader::new(connection);
                    while let Some(body) = body(&mut connection) {
                        let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
                        let push = Push::decode(message.as_slice()).unwrap();
                        all.lock().unwrap().extend(push.streams.into_iter().map(|it| it.labels));
                        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                        connection.get_mut().write_all(answer).unwrap();
                    }
                });
            }
        });
        Self { url, labels }
    }
}

/// The body of the next request; none at the end of the connection.
fn body(connection: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()?;
    Some(body)
}

fn a_process_does_not_say_where_it_runs(engine: Engine) {
    let Some(service) = service(Some(HOSTILE)) else { return };
    let loki = Loki::start();
    let sensor = Sensor::with_logs(engine, &[service.pid()], &["--loki-endpoint", &loki.url]);
    ask(&service, ID);
    sensor.wait_while_logging(1, 1, QUIET);
    let report = sensor.stop();
    if report.runs_missed() > 0 {
        return;
    }
    let [span] = &report.spans[..] else { unreachable!("{:#?}", report.spans) };
    let resource = |key| span.resource(key).and_then(|value| value.as_str());
    assert_eq!(resource("service.name"), Some("payments"), "{span:#?}");
    assert_eq!(resource("sensor.identity"), Some("declared"), "{span:#?}");
    for key in ["k8s.namespace.name", "k8s_namespace_name", "sensor.x", "telemetry.sdk.name"] {
        assert_eq!(resource(key), None, "{span:#?}");
    }
    // It may run in a container; not in that one.
    assert!(!HOSTILE.contains(resource("container.id").unwrap_or("none")), "{span:#?}");
    assert_eq!(report.counter("capture.process_attributes_refused"), 1);

    // The line and the request.
    let labels = loki.labels.lock().unwrap();
    assert_eq!(labels.len(), 2, "{labels:?}");
    for labels in labels.iter() {
        assert!(labels.contains("service_name=\"payments\""), "{labels}");
        assert!(labels.contains("host_name=") && !labels.contains("k8s"), "{labels}");
    }
}
