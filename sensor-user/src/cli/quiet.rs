//! Why nothing is shown: a blank screen has to explain itself.

use super::view::Counters;

/// What stands in the way, by what grew since a span was last shown. Never empty; at most four
/// reasons, those that hide most first.
pub(super) fn why(grown: &Counters, now: &Counters, filtered: bool) -> String {
    let get = |name| grown.get(name);
    let mut reasons = Vec::new();
    let mut reason = |text: &str, count: u64| {
        if count > 0 {
            reasons.push(format!("{text}: {count}"));
        }
    };
    reason("events dropped (ring full, see --ring-size)", get("kernel.ring_full"));
    reason("events on Unix sockets dropped, as one was missed", get("kernel.records_doubtful"));
    reason("connections without room in the kernel's table", get("kernel.flow_table_full"));
    reason("spans lost, as standard output is not being read", get("output.lost"));
    reason(
        "exchanges lost with missing bytes",
        get("exchanges.lost.gap")
            + get("exchanges.lost.evicted")
            + get("exchanges.lost.run_missed"),
    );
    reason(
        "exchanges that could not be decoded",
        get("exchanges.lost.undecodable") + get("exchanges.lost.head_too_large"),
    );
    reason("spans left out, as their traces are not sampled", get("spans.not_sampled"));
    reason("spans left out, as their processes export them", get("spans.existing"));
    reason("requests without a response yet", now.get("exchanges.open"));
    reason("connections with TLS, which cannot be read", get("kernel.flows_tls"));
    reason(
        "connections that are not HTTP",
        get("connections.not_http") + get("kernel.flows_not_http"),
    );
    reason("connections upgraded (WebSocket, CONNECT)", get("connections.upgraded"));
    reason("responses to requests from before the start", get("exchanges.orphan_responses"));
    reason("calls by io_uring, which cannot be read", get("kernel.calls_io_uring"));
    reason("events that could not be decoded", get("capture.undecodable"));
    if reasons.is_empty() {
        reasons.push(match (get("capture.events") > 0, filtered) {
            (true, _) => "events are captured, but no request has begun".to_owned(),
            (false, true) => {
                "nothing captured: the selected processes use no socket (is the filter right?)"
                    .to_owned()
            }
            (false, false) => "nothing captured: no process uses a socket".to_owned(),
        });
    }
    reasons.truncate(4);
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::live::{LINES_UNREAD, RECORDS_DOUBTFUL, RING_UNREAD, RUNS_MISSED};

    fn counters(values: &[(&str, u64)]) -> Counters {
        Counters(values.iter().map(|&(name, value)| (name.to_owned(), value)).collect())
    }

    fn say(values: &[(&str, u64)], filtered: bool) -> String {
        let counters = counters(values);
        why(&counters, &counters, filtered)
    }

    #[test]
    fn nothing_captured() {
        assert_eq!(say(&[], false), "nothing captured: no process uses a socket");
        assert!(say(&[], true).contains("is the filter right?"));
    }

    #[test]
    fn each_obstacle_is_named() {
        assert_eq!(
            say(&[("capture.events", 9), ("kernel.flows_tls", 3)], false),
            "connections with TLS, which cannot be read: 3"
        );
        assert_eq!(
            say(&[("connections.not_http", 2), ("kernel.flows_not_http", 3)], false),
            "connections that are not HTTP: 5"
        );
        assert_eq!(
            say(&[("kernel.ring_full", 7), ("exchanges.open", 1)], true),
            "events dropped (ring full, see --ring-size): 7; requests without a response yet: 1"
        );
        assert_eq!(
            say(&[("capture.events", 1)], false),
            "events are captured, but no request has begun"
        );
    }

    #[test]
    fn every_name_is_a_counter() {
        // A renamed counter would silence its reason without a word.
        let known: Vec<String> = crate::metrics::CATALOGUE
            .iter()
            .map(|(_, name, _)| (*name).to_owned())
            .chain(
                ["exchanges.open", RING_UNREAD, LINES_UNREAD, RUNS_MISSED, RECORDS_DOUBTFUL]
                    .map(str::to_owned),
            )
            .chain(
                sensor_ebpf::abi::KERNEL_COUNTERS.iter().map(|(_, name)| format!("kernel.{name}")),
            )
            .collect();
        let (code, _) = include_str!("quiet.rs").split_once("#[cfg(test)]").unwrap();
        let code = code.to_owned() + include_str!("view.rs");
        let quoted = code.split('"').skip(1).step_by(2);
        let names: Vec<_> = quoted
            .filter(|text| {
                [
                    "capture.",
                    "connections.",
                    "exchanges.",
                    "kernel.",
                    "output.",
                    "spans.",
                    "streams.",
                ]
                .iter()
                .any(|stage| text.starts_with(stage))
            })
            .collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(known.iter().any(|known| known == name), "{name} is no counter");
        }
    }
}
