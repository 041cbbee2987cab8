use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::capture::event::{ClockSync, FileId, Monotonic, ProcessKey, StartTime, Tgid};
use crate::capture::{Progress, Raw, RawSource};
use crate::model::{Attribute, Resource, Value};
use crate::system::private_file::Existing;

/// A [`Raw`] that owns its parts.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Record(Vec<u8>),
    Process(ProcessKey, bool, Arc<Resource>),
    Clock(ClockSync),
    Counters(Vec<(String, u64)>),
    Missed,
    LogFile(FileId, Arc<str>),
}

impl Owned {
    fn raw(&self) -> Raw<'_> {
        match self {
            Self::Record(record) => Raw::Record(record),
            Self::Process(process, exec, resource) => {
                Raw::Process { process: *process, exec: *exec, resource }
            }
            Self::Clock(clock) => Raw::Clock(*clock),
            Self::Counters(counters) => Raw::Counters(counters),
            Self::Missed => Raw::Missed,
            Self::LogFile(file, path) => Raw::LogFile { file: *file, path },
        }
    }

    fn of(raw: Raw<'_>) -> Self {
        match raw {
            Raw::Record(record) => Self::Record(record.to_vec()),
            Raw::Process { process, exec, resource } => {
                Self::Process(process, exec, Arc::clone(resource))
            }
            Raw::Clock(clock) => Self::Clock(clock),
            Raw::Counters(counters) => Self::Counters(counters.to_vec()),
            Raw::Missed => Self::Missed,
            Raw::LogFile { file, path } => Self::LogFile(file, Arc::clone(path)),
        }
    }
}

fn header() -> Header {
    Header {
        abi_version: sensor_ebpf::abi::ABI_VERSION,
        big_endian: cfg!(target_endian = "big"),
        architecture: "x86_64".into(),
        kernel_release: "6.18.0".into(),
        host_name: "node-1".into(),
        started_unix_ns: 1_700_000_000_000_000_000,
    }
}

/// One block per inner list.
fn written(blocks: &[Vec<Owned>]) -> Vec<u8> {
    let mut writer = Writer::new("test".into(), Vec::new(), &header()).unwrap();
    for block in blocks {
        block.iter().for_each(|item| writer.append(item.raw()).unwrap());
        writer.flush().unwrap();
    }
    writer.finish().unwrap().0
}

/// Everything that is delivered, and the error at the end.
fn read(bytes: &[u8]) -> (Vec<Owned>, Option<String>) {
    let mut items = Vec::new();
    let mut reader = match Reader::new("test".into(), bytes) {
        Ok(reader) => reader,
        Err(error) => return (items, Some(error.to_string())),
    };
    loop {
        match reader.poll_raw(&mut |raw| items.push(Owned::of(raw))) {
            Ok(Progress::Finished) => return (items, None),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(reader.poll_raw(&mut |_| ()).unwrap(), Progress::Finished);
                return (items, Some(error.to_string()));
            }
        }
    }
}

fn record(byte: u8) -> Owned {
    Owned::Record(vec![byte; 100])
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".*".prop_map(|text: String| Value::from(text)),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::vec(".*", 0..3).prop_map(Value::from),
    ]
}

fn item() -> impl Strategy<Value = Owned> {
    let attribute = (".*", value())
        .prop_map(|(key, value): (String, Value)| Attribute { key: key.into(), value });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000).prop_map(Owned::Record),
        (any::<u32>(), any::<u64>(), any::<bool>(), prop::collection::vec(attribute, 0..5))
            .prop_map(|(pid, start, exec, attributes)| {
                let process = ProcessKey { tgid: Tgid(pid), start: StartTime(start) };
                Owned::Process(
                    process,
                    exec,
                    Arc::new(Resource { attributes, ..Resource::default() }),
                )
            }),
        (any::<u64>(), any::<u64>()).prop_map(|(monotonic, unix_ns)| Owned::Clock(ClockSync {
            monotonic: Monotonic(monotonic),
            unix_ns
        })),
        prop::collection::vec((".*", any::<u64>()), 0..5).prop_map(Owned::Counters),
        Just(Owned::Missed),
        (any::<u32>(), any::<u64>(), any::<u32>(), ".*").prop_map(
            |(device, inode, generation, path): (u32, u64, u32, String)| {
                Owned::LogFile(FileId { device, inode, generation }, path.into())
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_read_is_what_was_written(
        blocks in prop::collection::vec(prop::collection::vec(item(), 0..6), 0..5)
    ) {
        let (items, error) = read(&written(&blocks));
        prop_assert_eq!(error, None);
        prop_assert_eq!(items, blocks.concat());
    }

    #[test]
    fn any_bytes_end_in_an_error_or_the_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = Writer::new("test".into(), Vec::new(), &header())
            .unwrap().finish().unwrap().0;
        file.truncate(file.len() - END_LEN);
        file.extend_from_slice(&bytes);
        prop_assert!(read(&file).1.is_some());
        read(&bytes);
    }

    #[test]
    fn one_altered_byte_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let blocks = [vec![record(1), record(2)], vec![record(3)], vec![record(4)]];
        let mut file = written(&blocks);
        let at = at.index(file.len());
        file[at] ^= 1_u8 << bit;
        let (items, error) = read(&file);
        prop_assert!(error.is_some());
        let all = blocks.concat();
        prop_assert!(items.iter().all(|item| all.contains(item)));
    }
}

#[test]
fn a_cut_file_delivers_its_whole_blocks_and_says_what_is_lost() {
    let blocks = [vec![record(1), record(2)], vec![record(3)]];
    let file = written(&blocks);
    let block = |items: &[Owned]| written(&[items.to_vec()]).len() - written(&[]).len();
    let start = written(&[]).len() - END_LEN;
    let ends = [start, start + block(&blocks[0]), file.len() - END_LEN];
    assert_eq!(ends[2], ends[1] + block(&blocks[1]));

    for cut in 0..file.len() {
        let (items, error) = read(&file[..cut]);
        let whole = ends[1..].iter().filter(|&&end| end <= cut).count();
        assert_eq!(items, blocks[..whole].concat(), "cut at {cut}");
        let error = error.expect("a cut is noticed");
        if cut >= start {
            assert!(error.contains(&format!("Delivered: {whole} blocks")), "{cut}: {error}");
        }
    }
    let (_, error) = read(&file[..ends[1] - 1]);
    let error = error.unwrap();
    assert!(error.contains("ends within a block") && error.contains("2 items"), "{error}");
}

#[test]
fn a_damaged_block_is_left_out_and_reported() {
    let blocks = [vec![record(1)], vec![record(2), record(3)], vec![record(4)]];
    let mut file = written(&blocks);
    let first = written(&blocks[..1]).len() - END_LEN;
    file[first + BLOCK_HEADER + 3] ^= 0x40;
    let (items, error) = read(&file);
    assert_eq!(items, [record(1), record(4)]);
    let error = error.unwrap();
    assert!(error.contains("1 blocks, and 2 items in all"), "{error}");
    assert!(error.contains("Delivered: 2 blocks with 2 items"), "{error}");
}

#[test]
fn the_end_mark_notices_a_missing_block() {
    let blocks = [vec![record(1)], vec![record(2)], vec![record(3)]];
    let file = written(&blocks);
    let (one, two) = (written(&blocks[..1]).len(), written(&blocks[..2]).len());
    let missing = [&file[..one - END_LEN], &file[two - END_LEN..]].concat();
    let (items, error) = read(&missing);
    assert_eq!(items, [record(1), record(3)]);
    assert!(error.unwrap().contains("lost: 1 blocks with 1 items"));
}

#[test]
fn bytes_after_the_end_are_reported() {
    let mut file = written(&[vec![record(1)]]);
    file.extend_from_slice(b"more");
    let (items, error) = read(&file);
    assert_eq!(items, [record(1)]);
    assert!(error.unwrap().contains("4 bytes"));
}

/// A block whose header is sound, around `raw_len` and any compressed bytes.
fn forged(raw_len: usize, compressed: &[u8]) -> Vec<u8> {
    let mut block = Vec::from(BLOCK_MARK);
    for field in [compressed.len(), raw_len, 1] {
        block.extend_from_slice(&u32::try_from(field).unwrap().to_le_bytes());
    }
    block.extend_from_slice(&crc32fast::hash(compressed).to_le_bytes());
    block.extend_from_slice(&crc32fast::hash(&block).to_le_bytes());
    block.extend_from_slice(compressed);
    let mut file = written(&[]);
    file.truncate(file.len() - END_LEN);
    file.extend_from_slice(&block);
    file
}

#[test]
fn a_decompression_bomb_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    // With a raw length beyond the bound, and with a lie about it.
    for raw_len in [64 << 20, 1000] {
        let file = forged(raw_len, &bomb);
        let mut reader = Reader::new("test".into(), file.as_slice()).unwrap();
        assert!(reader.poll_raw(&mut |_| panic!("nothing to deliver")).is_err());
    }
}

#[test]
fn an_item_that_is_too_long_is_refused_and_the_recording_goes_on() {
    let mut writer = Writer::new("test".into(), Vec::new(), &header()).unwrap();
    let long = vec![0; ITEM_MAX + 1];
    let error = writer.append(Raw::Record(&long)).unwrap_err();
    assert!(matches!(error, RecordingError::TooLong { len } if len == ITEM_MAX + 1));
    writer.append(Raw::Record(&long[..ITEM_MAX])).unwrap();
    let (bytes, totals) = writer.finish().unwrap();
    assert_eq!((totals.blocks, totals.items), (1, 1));
    assert_eq!(read(&bytes), (vec![Owned::Record(vec![0; ITEM_MAX])], None));
}

/// A disk with this much room left.
struct Disk {
    room: usize,
    bytes: Vec<u8>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = bytes.len().min(self.room);
        if n == 0 && !bytes.is_empty() {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.room -= n;
        self.bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_a_readable_recording() {
    let room = written(&[vec![record(1)]]).len() - END_LEN + 10;
    let mut disk = Disk { room, bytes: Vec::new() };
    let mut writer = Writer::new("/data/trace.rec".into(), &mut disk, &header()).unwrap();
    writer.append(record(1).raw()).unwrap();
    writer.flush().unwrap();
    writer.append(record(2).raw()).unwrap();
    let error = writer.flush().unwrap_err().to_string();
    assert!(error.contains("/data/trace.rec") && error.contains("no storage space"), "{error}");
    assert!(matches!(writer.append(record(3).raw()), Err(RecordingError::Failed { .. })));
    assert!(writer.finish().is_err());
    let (items, error) = read(&disk.bytes);
    assert_eq!(items, [record(1)]);
    assert!(error.unwrap().contains("Delivered: 1 blocks"));
}

#[test]
fn a_real_full_device_is_named() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = Writer::new("/dev/full".into(), full, &header()).err().expect("it is full");
    assert!(error.to_string().contains("/dev/full"), "{error}");
    let path = Path::new("/nonexistent/x");
    let error = Writer::create(path, Existing::Refuse).err().expect("no such directory");
    assert!(error.to_string().contains("/nonexistent/x"), "{error}");
}

#[test]
fn the_header_says_what_keeps_a_recording_from_being_read() {
    let with = |change: fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        let writer = Writer::new("test".into(), Vec::new(), &header).unwrap();
        Reader::new("test".into(), writer.finish().unwrap().0.as_slice())
            .map(|reader| reader.header().clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| ()), Ok(header()));
    assert!(with(|header| header.abi_version += 1).unwrap_err().contains("release of sensor"));
    assert!(with(|header| header.big_endian ^= true).unwrap_err().contains("-endian machine"));

    let mut newer = written(&[]);
    newer[MAGIC.len()] = 4;
    assert!(read(&newer).1.unwrap().contains("version 4"));
    assert!(read(b"GET / HTTP/1.1\r\n\r\n").1.unwrap().contains("does not begin"));
}

/// Records have been the same items from version 1 on.
#[test]
fn recordings_of_older_versions_are_read() {
    let mut older = written(&[vec![record(1)], vec![record(2)]]);
    assert_eq!(older[MAGIC.len()], 3);
    for version in [1, 2] {
        older[MAGIC.len()] = version;
        assert_eq!(read(&older), (vec![record(1), record(2)], None));
    }
    older[MAGIC.len()] = 0;
    assert!(read(&older).1.unwrap().contains("version 0"));
}

#[test]
fn in_real_time_an_item_is_held_back_until_it_is_due() {
    let clock = |ns| Owned::Clock(ClockSync { monotonic: Monotonic(ns), unix_ns: 0 });
    let file = written(&[vec![clock(5), clock(30_000_005)]]);
    let mut reader = Reader::new("test".into(), file.as_slice()).unwrap();
    reader.real_time(true);
    let began = std::time::Instant::now();
    let mut items = 0;
    assert_eq!(reader.poll_raw(&mut |_| items += 1).unwrap(), Progress::Delivered(1));
    assert_eq!(reader.poll_raw(&mut |_| items += 1).unwrap(), Progress::Idle);
    while reader.poll_raw(&mut |_| items += 1).unwrap() != Progress::Finished {}
    assert_eq!(items, 2);
    assert!(began.elapsed() >= std::time::Duration::from_millis(30));
}
