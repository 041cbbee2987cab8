use std::path::PathBuf;
use std::sync::Mutex;

use super::event::Monotonic;
use super::*;
use crate::metrics::Counter;
use crate::model::Attribute;
use crate::system::private_file::Existing;

/// A file of this test's own, removed with it.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("sensor-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn refused(path: &Path) -> String {
    open(path, Pace::Full, &Arc::default()).err().expect("refused").to_string()
}

#[test]
fn what_cannot_be_replayed_is_refused_with_what_can() {
    assert!(refused(Path::new("/nonexistent")).contains("/nonexistent"));
    assert!(refused(Path::new("/")).contains("cannot read /"));
    for (name, bytes, says) in [
        ("empty", &b""[..], "a recording of `sensor record` nor a pcap or pcapng file"),
        ("text", b"GET / HTTP/1.1", "a recording of `sensor record` nor a pcap or pcapng file"),
        ("gz", b"\x1f\x8b\x08\x00", "gzip -dc <"),
        ("zst", b"\x28\xb5\x2f\xfd\x00", "zstd -dc <"),
    ] {
        let file = Temporary::new(name, bytes);
        let error = refused(&file.0);
        assert!(error.contains(says) && error.contains(name), "{error}");
    }
}

/// An exit record, which is the shortest that makes an event.
fn exit(tgid: u32) -> Vec<u8> {
    use zerocopy::IntoBytes as _;
    let record = sensor_ebpf::abi::ProcessRecord {
        kind: 4,
        flags: sensor_ebpf::abi::process_flag::EXIT,
        time_ns: 5,
        tgid,
        parent: 1,
        start_ns: 2,
        parent_start_ns: 0,
        execs: 0,
        padding: 0,
        cgroup: 0,
        comm: [0; 16],
        args_len: 0,
        env_len: 0,
    };
    record.as_bytes().to_vec()
}

/// Delivers the same items at every poll, twice.
struct Twice(u32);

impl RawSource for Twice {
    fn poll_raw(&mut self, sink: &mut dyn FnMut(Raw<'_>)) -> Result<Progress, CaptureError> {
        self.0 += 1;
        if self.0 > 2 {
            return Ok(Progress::Finished);
        }
        let resource = Arc::new(Resource {
            attributes: vec![Attribute::new("process.pid", 42)],
            ..Resource::default()
        });
        sink(Raw::Clock(ClockSync { monotonic: Monotonic(1), unix_ns: 2 }));
        sink(Raw::Process { process: ProcessKey::undated(42), exec: false, resource: &resource });
        sink(Raw::Record(&exit(42)));
        sink(Raw::Record(b"garbage, of which no event comes"));
        sink(Raw::Counters(&[("records".into(), u64::from(self.0))]));
        Ok(Progress::Delivered(5))
    }
}

/// What a source says, as text, until it is finished.
fn said(source: &mut dyn Source) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        let progress = source.poll(&mut |event| said.push(format!("{event:?}")));
        if progress.unwrap() == Progress::Finished {
            return said;
        }
    }
}

#[test]
fn a_recording_replays_as_the_capture_it_was_made_of() {
    let file = Temporary::new("replay", b"");
    std::fs::remove_file(&file.0).unwrap();
    let writer =
        Arc::new(Mutex::new(recording::Writer::create(&file.0, Existing::Refuse).unwrap()));
    let live = Arc::new(Metrics::default());
    let mut source = Decoding::new(Twice(0), Arc::clone(&live)).tee(Box::new(Arc::clone(&writer)));
    let events = said(&mut source);
    assert_eq!(events.len(), 6);
    assert_eq!(source.kernel_counters(), [("records".to_owned(), 2)]);
    drop(source);
    Arc::into_inner(writer).unwrap().into_inner().unwrap().finish().unwrap();

    for pace in [Pace::Full, Pace::RealTime] {
        let replayed = Arc::new(Metrics::default());
        let mut replay = open(&file.0, pace, &replayed).unwrap();
        assert_eq!(said(replay.as_mut()), events);
        assert_eq!(replay.kernel_counters(), [("records".to_owned(), 2)]);
        for metrics in [&live, &replayed] {
            assert_eq!(metrics.get(Counter::Events), 4);
            assert_eq!(metrics.get(Counter::EventsUndecodable), 2);
        }
    }
}

#[test]
fn an_error_of_the_recording_ends_the_capture_after_delivery() {
    let full =
        recording::Writer::new("full".into(), Cursor::new([0; 200]), &recording::Header::here());
    let Ok(mut writer) = full else { panic!("the header fits") };
    // Fails, and then takes nothing more.
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    writer.append(Raw::Record(&noise)).unwrap();
    assert!(writer.flush().is_err());

    let shared = Arc::new(Mutex::new(writer));
    let mut source = Decoding::new(Twice(0), Arc::default()).tee(Box::new(shared));
    let mut events = 0;
    let error = source.poll(&mut |_| events += 1).unwrap_err();
    assert_eq!(events, 3);
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(source.poll(&mut |_| ()).unwrap(), Progress::Delivered(5));
}
