//! One raw item as bytes.

use std::borrow::Cow;
use std::sync::Arc;

use super::codec::{Malformed, Put as _, Take};
use super::{ITEM_MAX, RecordingError};
use crate::capture::Raw;
use crate::capture::event::{ClockSync, FileId, Monotonic, ProcessKey, StartTime, Tgid};
use crate::model::{Attribute, Resource, Text, Value};

/// Tag and length before each payload.
pub(super) const PREFIX: usize = 5;

const RECORD: u8 = 1;
/// Of formats 1 and 2: without the time at which it was started, after each exec.
const PROCESS_UNDATED: u8 = 2;
const CLOCK: u8 = 3;
const COUNTERS: u8 = 4;
/// Without a payload.
const MISSED: u8 = 5;
const LOG_FILE: u8 = 6;
const PROCESS: u8 = 7;

const STR: u8 = 1;
const INT: u8 = 2;
const BOOL: u8 = 3;
const STRS: u8 = 4;
const DOUBLE: u8 = 5;

/// Appends `raw` to `block`; leaves it as it was when the item is too long.
pub(super) fn put(block: &mut Vec<u8>, raw: Raw<'_>) -> Result<(), RecordingError> {
    let start = block.len();
    let tag = match raw {
        Raw::Record(_) => RECORD,
        Raw::Process { .. } => PROCESS,
        Raw::Clock(_) => CLOCK,
        Raw::Counters(_) => COUNTERS,
        Raw::Missed => MISSED,
        Raw::LogFile { .. } => LOG_FILE,
    };
    block.push(tag);
    block.put_u32(0);
    let payload = block.len();
    match raw {
        Raw::Record(record) => block.extend_from_slice(record),
        Raw::Process { process, exec, resource } => {
            block.put_u32(process.tgid.0);
            block.put_u64(process.start.0);
            block.push(u8::from(exec));
            put_resource(block, resource);
        }
        Raw::Clock(ClockSync { monotonic, unix_ns }) => {
            block.put_u64(monotonic.0);
            block.put_u64(unix_ns);
        }
        Raw::Counters(counters) => {
            block.put_len(counters.len());
            for (name, value) in counters {
                block.put_text(name);
                block.put_u64(*value);
            }
        }
        Raw::Missed => {}
        Raw::LogFile { file: FileId { device, inode, generation }, path } => {
            block.put_u32(device);
            block.put_u64(inode);
            block.put_u32(generation);
            block.put_text(path);
        }
    }
    let len = block.len() - payload;
    match u32::try_from(len) {
        Ok(short) if len <= ITEM_MAX => {
            block[payload - 4..payload].copy_from_slice(&short.to_le_bytes());
            Ok(())
        }
        _ => {
            block.truncate(start);
            Err(RecordingError::TooLong { len })
        }
    }
}

fn put_resource(block: &mut Vec<u8>, resource: &Resource) {
    let Resource { attributes, span_endpoints: _ } = resource;
    block.put_len(attributes.len());
    for Attribute { key, value } in attributes {
        block.put_text(key);
        match value {
            Value::Str(text) => {
                block.push(STR);
                block.put_text(text);
            }
            Value::Int(number) => {
                block.push(INT);
                block.put_u64(number.cast_unsigned());
            }
            Value::Double(number) => {
                block.push(DOUBLE);
                block.put_u64(number.to_bits());
            }
            Value::Bool(truth) => {
                block.push(BOOL);
                block.push(u8::from(*truth));
            }
            Value::Strs(texts) => {
                block.push(STRS);
                block.put_len(texts.len());
                texts.iter().for_each(|text| block.put_text(text));
            }
        }
    }
}

/// An item taken from a block, owning what its [`Raw`] borrows.
pub(super) enum Item<'a> {
    Record(Cow<'a, [u8]>),
    /// With whether it is announced because of an exec.
    Process(ProcessKey, bool, Arc<Resource>),
    Clock(ClockSync),
    Counters(Vec<(String, u64)>),
    Missed,
    LogFile(FileId, Arc<str>),
}

impl Item<'_> {
    pub(super) fn raw(&self) -> Raw<'_> {
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
}

/// Takes the item at the front of `block`.
pub(super) fn take<'a>(block: &mut Take<'a>) -> Result<Item<'a>, Malformed> {
    let tag = block.u8()?;
    let len = block.len()?;
    if len > ITEM_MAX {
        return Err(Malformed);
    }
    let mut payload = Take(block.bytes(len)?);
    let item = match tag {
        RECORD => return Ok(Item::Record(Cow::Borrowed(payload.0))),
        PROCESS_UNDATED => {
            let process = ProcessKey::undated(payload.u32()?);
            Item::Process(process, true, Arc::new(take_resource(&mut payload)?))
        }
        PROCESS => {
            let process =
                ProcessKey { tgid: Tgid(payload.u32()?), start: StartTime(payload.u64()?) };
            let exec = take_bool(&mut payload)?;
            Item::Process(process, exec, Arc::new(take_resource(&mut payload)?))
        }
        CLOCK => {
            Item::Clock(ClockSync { monotonic: Monotonic(payload.u64()?), unix_ns: payload.u64()? })
        }
        COUNTERS => {
            let len = payload.len()?;
            let counters = (0..len).map(|_| Ok((payload.text()?.to_owned(), payload.u64()?)));
            Item::Counters(counters.collect::<Result<_, _>>()?)
        }
        MISSED => Item::Missed,
        LOG_FILE => {
            let (device, inode) = (payload.u32()?, payload.u64()?);
            let file = FileId { device, inode, generation: payload.u32()? };
            Item::LogFile(file, payload.text()?.into())
        }
        _ => return Err(Malformed),
    };
    payload.finish()?;
    Ok(item)
}

// The counts below are not trusted with an allocation: collecting ends at the first element that
// the payload is too short for.

fn take_bool(payload: &mut Take<'_>) -> Result<bool, Malformed> {
    match payload.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

fn take_resource(payload: &mut Take<'_>) -> Result<Resource, Malformed> {
    let len = payload.len()?;
    let attributes = (0..len).map(|_| {
        Ok(Attribute {
            key: Cow::Owned(payload.text()?.to_owned()),
            value: match payload.u8()? {
                STR => Value::Str(Text::shared(payload.text()?)),
                INT => Value::Int(payload.u64()?.cast_signed()),
                DOUBLE => Value::Double(f64::from_bits(payload.u64()?)),
                BOOL => Value::Bool(take_bool(payload)?),
                STRS => {
                    let len = payload.len()?;
                    let texts = (0..len).map(|_| payload.text().map(str::to_owned));
                    Value::Strs(texts.collect::<Result<_, _>>()?)
                }
                _ => return Err(Malformed),
            },
        })
    });
    let attributes = attributes.collect::<Result<_, _>>()?;
    Ok(Resource { attributes, ..Resource::default() })
}
