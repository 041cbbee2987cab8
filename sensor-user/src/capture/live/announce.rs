//! Who a process is, said before the first record that names it; and which records are wanted.

use std::mem::offset_of;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sensor_ebpf::abi::{LineRecord, RecordKind, SegmentRecord};
use sensor_ebpf::limits::PROCESSES;
use zerocopy::FromBytes as _;

use super::golang::Golang;
use super::lines::Lines;
use super::scope::Scope;
use crate::capture::Raw;
use crate::capture::decode::{Decoded, ProcessChange, decode};
use crate::capture::event::Tgid;
use crate::metrics::{Counter, Metrics};
use crate::model::Resource;
use crate::process::Identifier;

/// Sees to it that a process is announced before the first record that names it.
pub(super) struct Announcer<'a> {
    pub(super) known: &'a mut FxHashMap<Tgid, Arc<Resource>>,
    pub(super) identifier: &'a Identifier,
    pub(super) scope: &'a mut Scope,
    pub(super) metrics: &'a Metrics,
    pub(super) golang: &'a mut Golang,
    pub(super) lines: &'a mut Lines,
}

impl Announcer<'_> {
    /// Returns whether the record is wanted.
    pub(super) fn announce(&mut self, record: &[u8], sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        match caller(record) {
            Caller::Process(tgid) => {
                let wanted = self.process(tgid, sink);
                if wanted {
                    self.lines.exchange(tgid);
                }
                wanted
            }
            Caller::Writer(line) => {
                let tgid = Tgid(line.tgid);
                if !self.process(tgid, sink) {
                    return false;
                }
                let Some(resource) = self.known.get(&tgid) else { return false };
                self.lines.line(&line, record, resource, sink)
            }
            Caller::Lifecycle => self.lifecycle(record, sink),
            Caller::None => true,
        }
    }

    /// Announces a process that is not known yet. Returns whether it is wanted.
    fn process(&mut self, tgid: Tgid, sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        if self.known.contains_key(&tgid) {
            return true;
        }
        if !self.scope.wants(tgid) {
            return false;
        }
        let resource = self.identifier.identify(tgid).unwrap_or_else(|_| {
            self.metrics.inc(Counter::ProcessesUnknown);
            self.identifier.unknown(tgid)
        });
        self.golang.announce(tgid);
        self.introduce(tgid, resource, sink);
        true
    }

    fn lifecycle(&mut self, record: &[u8], sink: &mut dyn FnMut(Raw<'_>)) -> bool {
        // What cannot be decoded is counted further down.
        let Ok(Decoded::Process(process)) = decode(record) else {
            return true;
        };
        match process.change {
            ProcessChange::Exec => {
                if !self.scope.decide(&process) {
                    self.known.remove(&process.tgid);
                    return false;
                }
                let resource = self.identifier.identify_exec(&process);
                self.golang.announce_anew(process.tgid);
                self.introduce(process.tgid, resource, sink);
                // The record itself carries the whole environment, which is nobody's business.
                false
            }
            ProcessChange::Exit => {
                self.scope.forget(process.tgid);
                self.golang.forget(process.tgid);
                self.lines.part(process.tgid, sink);
                self.lines.forget(process.tgid);
                self.known.remove(&process.tgid).is_some()
            }
            ProcessChange::Fork => false,
        }
    }

    fn introduce(&mut self, tgid: Tgid, resource: Resource, sink: &mut dyn FnMut(Raw<'_>)) {
        let resource = Arc::new(resource);
        // Exits whose record was lost leave their processes behind. Who is still there is announced
        // anew.
        if self.known.len() >= PROCESSES as usize {
            self.known.clear();
        }
        self.lines.part(tgid, sink);
        sink(Raw::Process { tgid, resource: &resource });
        self.lines.introduce(tgid, &resource);
        self.known.insert(tgid, resource);
    }
}

/// Whom a record names.
enum Caller {
    Process(Tgid),
    /// Of something that it has written to its log.
    Writer(LineRecord),
    /// It is about a process's life.
    Lifecycle,
    None,
}

fn caller(record: &[u8]) -> Caller {
    let kind = record.first_chunk().map_or(0, |word| u32::from_ne_bytes(*word));
    if kind == RecordKind::Process as u32 {
        return Caller::Lifecycle;
    }
    if kind == RecordKind::Line as u32 {
        return LineRecord::read_from_prefix(record)
            .map_or(Caller::None, |(line, _)| Caller::Writer(line));
    }
    // The end of a connection is about the connection alone. It often comes after the end of its
    // process, which closes what is still open: then there is nobody left to ask about.
    if kind != RecordKind::Segment as u32 {
        return Caller::None;
    }
    // What is cut is counted further down.
    record
        .get(..size_of::<SegmentRecord>())
        .and_then(|header| header.get(offset_of!(SegmentRecord, tgid)..)?.first_chunk())
        .map_or(Caller::None, |tgid| Caller::Process(Tgid(u32::from_ne_bytes(*tgid))))
}
