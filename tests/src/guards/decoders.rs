//! What the decoders do, a number of times over a corpus: run under callgrind, which counts.

use anyhow::{Context as _, Result, bail, ensure};
use sensor::capture::decode::{Decoded, decode};
use sensor::capture::event::Event;
use sensor::stream::Piece;
use sensor::wire::http1::{Asked, At, Decoder, Failure, Head, Kind, MessageEnd, Sink};
use sensor_ebpf::limits::HEAD_MAX;

use super::corpus::{self, Exchange, Flow, RECEIVED, exchanges};

/// Decodes the corpus so many times, and says how many bytes that were.
type Work = fn(rounds: u32) -> Result<u64>;

/// Every decoder that is counted. A new one needs a line here: `cargo xtask guards` asks for the list,
/// and its figure comes to the table with `--accept`.
const DECODERS: &[(&str, Work)] = &[("http1", http1), ("records", records), ("spans", spans)];

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    DECODERS.iter().map(|(name, _)| *name)
}

/// Runs one of them; bytes decoded.
///
/// # Errors
/// There is none of this name, or it did not find what is in the corpus.
pub fn run(name: &str, rounds: u32) -> Result<u64> {
    let work = DECODERS.iter().find(|(known, _)| *known == name).map(|(_, work)| work);
    work.with_context(|| format!("there is no decoder {name}"))?(rounds)
}

/// HTTP/1 of both directions: the heads in one piece each, as the kernel side gives them.
fn http1(rounds: u32) -> Result<u64> {
    #[derive(Default)]
    struct Heard {
        messages: u64,
        fields: usize,
        broken: bool,
    }
    impl Sink for Heard {
        fn start(&mut self, _: Kind, _: At) {}
        fn head(&mut self, head: &Head<'_>, _: At, _: At) -> Asked {
            self.fields += head.fields().count();
            Asked::Other
        }
        fn end(&mut self, _: MessageEnd) {
            self.messages += 1;
        }
        fn failed(&mut self, _: Option<Kind>, _: Failure) {
            self.broken = true;
        }
        fn not_http(&mut self) {
            self.broken = true;
        }
        fn upgraded(&mut self, _next: At) {
            self.broken = true;
        }
    }

    let corpus = exchanges();
    let request = |exchange: &Exchange| (exchange.request.clone(), exchange.request_body);
    let response = |exchange: &Exchange| (exchange.response.clone(), exchange.response_body);
    let directions: [Vec<_>; 2] =
        [corpus.iter().map(request).collect(), corpus.iter().map(response).collect()];
    let (mut heard, mut bytes) = (Heard::default(), 0);
    for messages in &directions {
        let mut decoder = Decoder::new(true, HEAD_MAX);
        let mut at = At::default();
        for _ in 0..rounds {
            for (head, body) in messages {
                decoder.feed(Piece::Bytes(head), at, &mut heard);
                at = at.advance(head.len());
                bytes += head.len() as u64;
                if *body > 0 {
                    decoder.feed(Piece::Skip(*body), at, &mut heard);
                    at.position += body;
                }
            }
        }
    }
    let messages = 2 * corpus.len() as u64 * u64::from(rounds);
    ensure!(!heard.broken && heard.fields > 0, "the decoder does not take the corpus");
    ensure!(heard.messages == messages, "{} of {messages} messages", heard.messages);
    Ok(bytes)
}

/// Every record of some rounds over one connection at a server.
fn corpus_records(rounds: u32) -> Vec<Vec<u8>> {
    let corpus = exchanges();
    let mut flow = Flow::new(1, 8080, 40_000);
    let mut all = Vec::new();
    for _ in 0..rounds {
        all.extend(corpus.iter().flat_map(|exchange| flow.exchange(exchange, RECEIVED)));
    }
    all
}

/// The kernel's records to events.
fn records(rounds: u32) -> Result<u64> {
    let records = corpus_records(1);
    let mut bytes = 0;
    for _ in 0..rounds {
        for record in &records {
            let Ok(Decoded::Event(Event::Segment(segment))) = decode(record) else {
                bail!("a record of the corpus is no segment");
            };
            ensure!(std::hint::black_box(segment).flow.id.0 == 1, "another flow");
            bytes += record.len() as u64;
        }
    }
    Ok(bytes)
}

/// The whole way from records to spans, which are dropped.
fn spans(rounds: u32) -> Result<u64> {
    let mut pipeline = corpus::pipeline();
    let mut spans = 0;
    let mut handle = |event: &Event<'_>| pipeline.handle(event, &mut |_| spans += 1);
    let mut bytes = 0;
    for record in corpus_records(rounds) {
        let Ok(Decoded::Event(event)) = decode(&record) else {
            bail!("a record of the corpus is no event");
        };
        handle(&event);
        bytes += record.len() as u64;
    }
    let expected = exchanges().len() as u64 * u64::from(rounds);
    ensure!(spans == expected, "{spans} spans of {expected} exchanges");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{names, run};

    #[test]
    fn every_decoder_takes_its_corpus() {
        for name in names() {
            let once = run(name, 1).expect(name);
            assert!(once > 32 << 10, "{name}: {once} bytes are too few to count by");
            assert_eq!(run(name, 3).expect(name), 3 * once);
        }
        assert!(run("nothing", 1).is_err());
    }
}
