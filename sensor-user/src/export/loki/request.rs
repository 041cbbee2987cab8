//! The push request: protobuf, compressed as one raw snappy block.
//!
//! The messages are those of `pkg/push/push.proto` of Loki, field by field.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;

use super::event::{self, Entry};
use crate::model::Span;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StreamAdapter {
    /// Written like a selector: `{service_name="shop"}`.
    #[prost(string, tag = "1")]
    pub(super) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<EntryAdapter>,
    /// Computed by the receiver.
    #[prost(uint64, tag = "3")]
    pub(super) hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub(super) line: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) structured_metadata: Vec<LabelPairAdapter>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LabelPairAdapter {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// One stream for each set of labels, its entries in order of time.
pub(super) fn push_request(batch: &[Arc<Span>]) -> PushRequest {
    let mut streams: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for span in batch {
        streams.entry(event::labels(span)).or_default().push(event::entry(span));
    }
    let streams = streams
        .into_iter()
        .map(|(labels, mut entries)| {
            entries.sort_by_key(|entry| entry.time_unix_ns);
            StreamAdapter { labels, entries: entries.into_iter().map(adapt).collect(), hash: 0 }
        })
        .collect();
    PushRequest { streams }
}

#[expect(clippy::cast_possible_wrap, reason = "seconds of a u64 of nanoseconds fit an i64")]
fn adapt(entry: Entry) -> EntryAdapter {
    let Entry { time_unix_ns, line, metadata } = entry;
    EntryAdapter {
        timestamp: Some(Timestamp {
            seconds: (time_unix_ns / 1_000_000_000) as i64,
            nanos: (time_unix_ns % 1_000_000_000) as i32,
        }),
        line,
        structured_metadata: metadata
            .into_iter()
            .map(|(name, value)| LabelPairAdapter { name: name.to_owned(), value })
            .collect(),
    }
}

/// Protobuf in a raw snappy block.
pub(super) fn encode(request: &PushRequest) -> Vec<u8> {
    let message = request.encode_to_vec();
    let mut compressed = vec![0; snap::raw::max_compress_len(message.len())];
    let length = snap::raw::Encoder::new().compress(&message, &mut compressed);
    #[expect(clippy::expect_used, reason = "a batch is far below snappy's 4 GiB, and the room is")]
    compressed.truncate(length.expect("the output has the length that snappy asks for"));
    compressed
}
