//! A service that is over its limit, and a backend that repeats what it was sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::super::{Authorization, Entry, LEDGER, Settings, Sink};
use super::{decode, settings};
use crate::export::delivery::Backend as _;
use crate::export::testing::{
    HttpBackend, Received, Reply, account, assert_balanced, eventually, record_of, records,
    resource,
};
use crate::export::{Exporters, Settings as ExportSettings};
use crate::metrics::{Counter, Metrics};

/// The services of the streams of a request.
fn services(request: &Received) -> Vec<String> {
    let name = |labels: &str| {
        let (_, rest) = labels.split_once("service_name=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    decode(request).streams.iter().map(|stream| name(&stream.labels)).collect()
}

/// One service is over the rate of its stream for good. All lines of another one arrive, and in
/// their time; its own are tried again, given up in the end, and counted.
#[tokio::test]
async fn a_stream_over_its_limit_does_not_hold_up_another() {
    let backend = HttpBackend::answering(|request| {
        if services(request) == ["aanoisy"] {
            let text = "entry with timestamp x ignored, reason: 'Per stream rate limit exceeded \
                        (limit: 3MB/sec) while attempting to ingest for stream '{}' totaling 9B, \
                        consider splitting a stream',\nuser 'fake', total ignored: 1 out of 1 for \
                        stream: {}";
            return Reply::full("429 Too Many Requests", "text/plain", text.as_bytes());
        }
        Reply::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
    })
    .await;
    let metrics = Arc::new(Metrics::default());
    let export = ExportSettings { loki: Some(settings(&backend.url())), ..Default::default() };
    let exporters = Exporters::start(export, Arc::clone(&metrics), &Handle::current()).unwrap();
    let (noisy, quiet) = (resource("aanoisy"), resource("quiet"));
    let arrived = || {
        let received = backend.received();
        let quiet = received.iter().filter(|request| services(request) == ["quiet"]);
        quiet.map(|request| decode(request).streams[0].entries.len()).sum::<usize>()
    };
    for n in 1..=20 {
        (0..10).for_each(|_| exporters.offer_record(&Arc::new(record_of(&noisy, n))));
        exporters.offer_record(&Arc::new(record_of(&quiet, n)));
        // Before the next one, and long before the noisy one's are given up.
        eventually("the quiet line is there", || arrived() == usize::from(n)).await;
    }
    eventually("settled", || exporters.queued().loki == 0).await;
    exporters.shutdown(Duration::ZERO).await;
    assert_balanced(&metrics, &LEDGER, 0);
    assert_eq!(account(&metrics, &LEDGER), [220, 20, 0, 0, 200]);
    assert!(metrics.get(Counter::LokiRetries) > 5);
}

/// The key of an endpoint, and the one of a header, whatever the backend does to have them said.
#[tokio::test]
async fn keys_are_in_no_text() {
    let echo = "no such thing as /0f9c2a77d1b84c6e/loki/api/v1/push?apikey=SECRETKEY, \
                Basic dXNlcjpPUEVOU0VTQU1F, \
                OPENSESAME \u{202e}\u{1b}[2J";
    let moved = "HTTP/1.1 301 Moved\r\n\
                 location: https://elsewhere/0f9c2a77d1b84c6e?apikey=SECRETKEY\r\n\
                 content-length: 0\r\n\r\n";
    let replies = [
        Some(Reply::full("400 Bad Request", "text/plain", echo.as_bytes())),
        Some(Reply::full("404 Not Found", "text/plain", echo.as_bytes())),
        Some(Reply::full("429 Too Many Requests", "text/plain", echo.as_bytes())),
        Some(Reply::full("503 Service Unavailable", "text/plain", echo.as_bytes())),
        Some(Reply::Answer(moved.into())),
        Some(Reply::Break(Vec::new())),
        Some(Reply::Break(b"garbage\r\n\r\n".to_vec())),
        // Nobody there.
        None,
    ];
    for reply in replies {
        let url = match &reply {
            Some(reply) => HttpBackend::start(vec![reply.clone()]).await.url(),
            None => "http://127.0.0.1:1".to_owned(),
        };
        let settings = Settings {
            authorization: Some(Authorization::Basic {
                username: "user".into(),
                password: "OPENSESAME".into(),
            }),
            ..settings(&format!("{url}/0f9c2a77d1b84c6e/loki/api/v1/push?apikey=SECRETKEY"))
        };
        let sink = Sink::new(&settings).unwrap();
        let records = records(1).into_iter().map(Entry::Record).collect();
        let outcome = sink.send(&sink.encode(records)[0]).await;
        let said = format!("{outcome:?} {} {settings:?}", sink.target());
        for secret in [
            "SECRETKEY",
            "0f9c2a77d1b84c6e",
            "OPENSESAME",
            "dXNlcjpPUEVOU0VTQU1F",
            "\u{202e}",
            "\u{1b}",
        ] {
            assert!(!said.contains(secret), "{secret:?} is in {said:?}");
        }
    }
}
