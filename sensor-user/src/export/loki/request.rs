//! The push request: protobuf, compressed as one raw snappy block.
//!
//! The messages are those of `pkg/push/push.proto` of Loki, field by field.

use std::collections::BTreeMap;

use prost::Message as _;

use super::event::{self, Entry};

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
pub(super) fn streams(batch: &[Entry]) -> Vec<StreamAdapter> {
    let mut streams: BTreeMap<String, Vec<(u64, EntryAdapter)>> = BTreeMap::new();
    for item in batch {
        let record = item.record();
        let entry = (record.observed_unix_ns, event::entry(&record));
        streams.entry(event::labels(&record)).or_default().push(entry);
    }
    streams
        .into_iter()
        .map(|(labels, mut entries)| {
            // Stable: what was written at the same time stays in the order in which it came.
            entries.sort_by_key(|(time, _)| *time);
            let entries = entries.into_iter().map(|(_, entry)| entry).collect();
            StreamAdapter { labels, entries, hash: 0 }
        })
        .collect()
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
