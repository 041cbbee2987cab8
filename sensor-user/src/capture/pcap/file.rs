//! The blocks of a pcap or pcapng file
//! (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>,
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>).
//!
//! Blocks are read whole here, with their lengths bounded, and taken apart by `pcap-parser`. Its own
//! readers are not used: they read binary time resolutions and big-endian time offsets wrongly, and
//! do not say how far a cut file went.

use std::io::{ErrorKind, Read};

use pcap_parser::{
    Block as NgBlock, Linktype, parse_block_be, parse_block_le, parse_pcap_frame,
    parse_pcap_frame_be, parse_pcap_header,
};

/// The longest block: the largest snapshot length in use is 256 KiB, and comments may be long.
const BLOCK_MAX: usize = 16 * 1024 * 1024;

/// Interfaces of a pcapng section.
const INTERFACES_MAX: usize = 65_536;

const PCAP_HEADER: usize = 24;
const PCAP_FRAME_HEADER: usize = 16;
/// Type and length of a pcapng block.
const NG_HEADER: usize = 8;
const NG_SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const NG_BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// The packet block before the enhanced one; pcap-parser does not know it.
const NG_OBSOLETE_PACKET: u32 = 2;

const NANOS: u64 = 1_000_000_000;

/// Whether a file that begins like this is a packet capture.
pub(in crate::capture) fn is_capture(magic: &[u8]) -> bool {
    let Some(magic) = magic.first_chunk::<4>() else {
        return false;
    };
    *magic == NG_SECTION
        || [u32::from_le_bytes(*magic), u32::from_be_bytes(*magic)]
            .iter()
            .any(|magic| matches!(magic, 0xa1b2_c3d4 | 0xa1b2_3c4d))
}

/// One block.
pub(super) enum Block<'a> {
    Packet(Packet<'a>),
    /// A packet that cannot be read.
    Undecodable,
    /// Not a packet.
    Other,
    End,
}

/// One captured packet.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    /// Nanoseconds since the Unix epoch.
    pub(super) unix_ns: u64,
    pub(super) link: Linktype,
    /// What was captured of it.
    pub(super) data: &'a [u8],
    /// Its length on the wire.
    pub(super) original_len: usize,
}

/// A file, and where its reader is.
pub(super) struct File<R> {
    input: R,
    block: Vec<u8>,
    format: Format,
}

enum Format {
    Pcap { link: Linktype, big_endian: bool, nanos: bool },
    PcapNg { big_endian: bool, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Units in a second.
    resolution: Option<u64>,
    /// Seconds to add.
    offset: i64,
}

impl<R: Read> File<R> {
    pub(super) fn open(input: R) -> Result<Self, String> {
        const NOT: &str = "it is neither pcap nor pcapng";
        let mut file = Self {
            input,
            block: Vec::new(),
            format: Format::PcapNg { big_endian: false, interfaces: Vec::new() },
        };
        let have = file.read(4)?;
        if !is_capture(&file.block) {
            return Err(NOT.into());
        }
        if file.block == NG_SECTION {
            // The first section header is read like any other block.
            file.section(have)?;
            return Ok(file);
        }
        file.read_exactly(have, PCAP_HEADER)?;
        let (_, header) = parse_pcap_header(&file.block).map_err(|_| NOT.to_owned())?;
        file.format = Format::Pcap {
            // The upper bits say how long a frame check sequence follows; it is not IP.
            link: Linktype(header.network.0 & 0x0fff_ffff),
            big_endian: header.is_bigendian(),
            // Not `is_nanosecond_precision`: as read, in the byte order of the file, or not.
            nanos: matches!(header.magic_number, 0xa1b2_3c4d | 0x4d3c_b2a1),
        };
        Ok(file)
    }

    /// The next block.
    pub(super) fn next(&mut self) -> Result<Block<'_>, String> {
        match self.format {
            Format::Pcap { link, big_endian, nanos } => self.frame(link, big_endian, nanos),
            Format::PcapNg { big_endian, .. } => self.ng_block(big_endian),
        }
    }

    fn frame(&mut self, link: Linktype, big: bool, nanos: bool) -> Result<Block<'_>, String> {
        match self.read(PCAP_FRAME_HEADER)? {
            0 => return Ok(Block::End),
            PCAP_FRAME_HEADER => {}
            _ => return Err("it is cut within a packet's header".into()),
        }
        let captured = word(&self.block, 8, big);
        let len = usize::try_from(captured).ok().filter(|&len| len <= BLOCK_MAX);
        let len = len.ok_or_else(|| {
            format!("it says that a packet has {captured} bytes; the file is damaged")
        })?;
        self.read_exactly(PCAP_FRAME_HEADER, PCAP_FRAME_HEADER + len)?;
        let parse = if big { parse_pcap_frame_be } else { parse_pcap_frame };
        let Ok((_, frame)) = parse(&self.block) else {
            return Ok(Block::Undecodable);
        };
        let fraction = u64::from(frame.ts_usec) * if nanos { 1 } else { 1000 };
        Ok(Block::Packet(Packet {
            unix_ns: u64::from(frame.ts_sec) * NANOS + fraction,
            link,
            data: frame.data,
            original_len: usize::try_from(frame.origlen).unwrap_or(usize::MAX),
        }))
    }

    fn ng_block(&mut self, mut big: bool) -> Result<Block<'_>, String> {
        match self.read(NG_HEADER)? {
            0 => return Ok(Block::End),
            NG_HEADER => {}
            _ => return Err("it is cut within a block's header".into()),
        }
        if self.block.starts_with(&NG_SECTION) {
            self.section(NG_HEADER)?;
            return Ok(Block::Other);
        }
        self.read_ng_body(big)?;
        let Self { block, format, .. } = self;
        let Format::PcapNg { big_endian, interfaces } = format else {
            return Ok(Block::Other);
        };
        big = *big_endian;
        let parse = if big { parse_block_be } else { parse_block_le };
        let Ok((_, parsed)) = parse(block) else {
            return Ok(Block::Undecodable);
        };
        let interface =
            |id: u32| usize::try_from(id).ok().and_then(|id| interfaces.get(id)).copied();
        Ok(match parsed {
            NgBlock::InterfaceDescription(description) => {
                if interfaces.len() >= INTERFACES_MAX {
                    return Err(format!("it has more than {INTERFACES_MAX} interfaces"));
                }
                let offset = description.if_tsoffset;
                interfaces.push(Interface {
                    link: description.linktype,
                    resolution: resolution(description.if_tsresol),
                    // pcap-parser takes it for little-endian always.
                    offset: if big { offset.swap_bytes() } else { offset },
                });
                Block::Other
            }
            NgBlock::EnhancedPacket(packet) => {
                let Some(interface) = interface(packet.if_id) else {
                    return Ok(Block::Undecodable);
                };
                let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let Some(unix_ns) = interface.unix_ns(units) else {
                    return Ok(Block::Undecodable);
                };
                // A length of the data that goes over the block is refused by the parser.
                let captured = usize::try_from(packet.caplen).unwrap_or(usize::MAX);
                let data = packet.data.get(..captured).unwrap_or(packet.data);
                let original_len = usize::try_from(packet.origlen).unwrap_or(usize::MAX);
                Block::Packet(Packet { unix_ns, link: interface.link, data, original_len })
            }
            // Without a time, a packet cannot become an event; of old tools, packets alike.
            NgBlock::SimplePacket(_) => Block::Undecodable,
            NgBlock::Unknown(unknown) if unknown.block_type == NG_OBSOLETE_PACKET => {
                Block::Undecodable
            }
            _ => Block::Other,
        })
    }

    /// Reads a section header of which the first `have` bytes are read: the interfaces and the
    /// byte order of what follows are new.
    fn section(&mut self, have: usize) -> Result<(), String> {
        // The byte order's mark comes after the length that it tells how to read.
        const MARK: usize = 8;
        self.read_exactly(have, MARK + 4)?;
        let big = match (word(&self.block, MARK, false), word(&self.block, MARK, true)) {
            (NG_BYTE_ORDER, _) => false,
            (_, NG_BYTE_ORDER) => true,
            _ => {
                return Err("a section header's byte order is not one; the file is damaged".into());
            }
        };
        self.read_ng_body(big)?;
        let parse = if big { parse_block_be } else { parse_block_le };
        match parse(&self.block) {
            Ok((_, NgBlock::SectionHeader(_))) => {}
            _ => return Err("a section header is damaged".into()),
        }
        self.format = Format::PcapNg { big_endian: big, interfaces: Vec::new() };
        Ok(())
    }

    /// Reads the rest of the block whose length is known.
    fn read_ng_body(&mut self, big: bool) -> Result<(), String> {
        let stated = word(&self.block, 4, big);
        // The length is stated at both ends, and is a multiple of four.
        let len = usize::try_from(stated)
            .ok()
            .filter(|&len| (self.block.len().max(12)..=BLOCK_MAX).contains(&len) && len % 4 == 0)
            .ok_or_else(|| {
                format!("it says that a block has {stated} bytes; the file is damaged")
            })?;
        self.read_exactly(self.block.len(), len)?;
        if word(&self.block, len - 4, big) == stated {
            Ok(())
        } else {
            Err("a block's two lengths differ; the file is damaged".into())
        }
    }

    /// Begins a block: reads up to `len` bytes, less only at the end of the file.
    fn read(&mut self, len: usize) -> Result<usize, String> {
        self.block.clear();
        self.extend(len)?;
        Ok(self.block.len())
    }

    /// Goes on with a block of which `have` bytes are read.
    fn read_exactly(&mut self, have: usize, len: usize) -> Result<(), String> {
        self.extend(len.saturating_sub(have))?;
        match self.block.len() {
            now if now < len => {
                Err(format!("it is cut: {now} of a packet's {len} bytes are there"))
            }
            _ => Ok(()),
        }
    }

    /// Memory grows with what is there, not with what a length says.
    fn extend(&mut self, len: usize) -> Result<(), String> {
        let read = self.input.by_ref().take(len as u64).read_to_end(&mut self.block);
        match read {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Interface {
    fn unix_ns(&self, units: u64) -> Option<u64> {
        let resolution = u128::from(self.resolution?);
        let ns = u128::from(units) * u128::from(NANOS) / resolution;
        let offset = i128::from(self.offset) * i128::from(NANOS);
        u64::try_from(i128::try_from(ns).ok()?.checked_add(offset)?).ok()
    }
}

/// `if_tsresol`: a negative power of ten, or of two with the highest bit set.
fn resolution(code: u8) -> Option<u64> {
    let exponent = u32::from(code & 0x7f);
    let base: u64 = if code & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(exponent)
}

/// The 32-bit word at `at`; 0 where there is none.
fn word(bytes: &[u8], at: usize, big: bool) -> u32 {
    let word =
        bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}
