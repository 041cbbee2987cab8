//! Executables made up by tests: what Go's linker writes into one, as far as it is read, and anything
//! else that somebody may write into one instead. The end-to-end tests have this file too.

/// Where the code begins in the file.
pub const CODE: u64 = 0x1000;

/// The address of the file's first byte.
pub const BASE: u64 = 0x40_0000;

/// The beginning of a function with a small frame: `CMPQ SP, 16(R14)`, `JLS`.
pub const PROLOGUE: [u8; 6] = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x00];

/// A section: its name, its type, its bytes, and what its header says instead of the truth.
#[derive(Clone)]
pub struct Section {
    pub name: &'static str,
    pub kind: u32,
    pub bytes: Vec<u8>,
    pub size: Option<u64>,
    pub link: u32,
}

impl Section {
    /// Of the type `SHT_PROGBITS`.
    pub fn new(name: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, kind: 1, bytes, size: None, link: 0 }
    }

    /// Whose header says another size.
    pub fn claiming(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    fn of_kind(mut self, kind: u32, link: u32) -> Self {
        (self.kind, self.link) = (kind, link);
        self
    }
}

/// An executable: its code, which runs from its beginning, and its sections.
#[derive(Clone)]
pub struct Made {
    pub code: Vec<u8>,
    pub sections: Vec<Section>,
    /// Program headers without meaning, in front of those that have one.
    pub more_headers: u16,
    /// The number of sections that section 0 tells, instead of the header.
    pub section_count: Option<u64>,
    /// Size and alignment of the thread-local storage, if there is one.
    pub thread_storage: Option<(u64, u64)>,
}

impl Made {
    pub fn new(code: Vec<u8>, sections: Vec<Section>) -> Self {
        Self { code, sections, more_headers: 0, section_count: None, thread_storage: None }
    }

    /// One in Go, with these functions at these places of its code.
    pub fn go(code: Vec<u8>, functions: &[(&str, u64)]) -> Self {
        Self::new(code, vec![build_info("go1.24.4", MODULES), functions_table(functions)])
    }

    /// As it is in a file. The sections come last, and the tables before them, so that the file can be
    /// as long as the last section says.
    pub fn bytes(&self) -> Vec<u8> {
        let mut headers = Vec::new();
        let mut header =
            |kind: u32, flags: u32, offset: u64, file: u64, memory: u64, align: u64| {
                headers.extend(kind.to_le_bytes());
                headers.extend(flags.to_le_bytes());
                for word in [offset, BASE + offset, BASE + offset, file, memory, align] {
                    headers.extend(word.to_le_bytes());
                }
            };
        for _ in 0..self.more_headers {
            header(0, 0, 0, 0, 0, 1);
        }
        let len = self.code.len() as u64;
        header(1, 5, CODE, len, len, 0x1000);
        if let Some((size, align)) = self.thread_storage {
            header(7, 4, CODE, 0, size, align);
        }
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        let at = (CODE + len).next_multiple_of(8);
        for word in [BASE + CODE, 64, at] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0; 4]);
        let count = self.sections.len() as u16 + 2;
        let said = if self.section_count.is_some() { 0 } else { count };
        for half in [64, 56, (headers.len() / 56) as u16, 64, said, 1] {
            file.extend(half.to_le_bytes());
        }
        file.extend(headers);
        assert!(file.len() as u64 <= CODE, "too many program headers");
        file.resize(CODE as usize, 0);
        file.extend(&self.code);
        file.resize(at as usize, 0);

        let mut names = b"\0".to_vec();
        let mut table = vec![0; 64];
        table[32..40].copy_from_slice(&self.section_count.unwrap_or(0).to_le_bytes());
        let mut contents = Vec::<u8>::new();
        let contents_at = at + 64 * u64::from(count);
        let mut all_names = b"\0.shstrtab\0".to_vec();
        for section in &self.sections {
            all_names.extend(section.name.bytes().chain([0]));
        }
        let name_table = Section::new(".shstrtab", all_names).of_kind(3, 0);
        for section in [&name_table].into_iter().chain(&self.sections) {
            let offset = contents_at + contents.len() as u64;
            table.extend((names.len() as u32).to_le_bytes());
            table.extend(section.kind.to_le_bytes());
            let size = section.size.unwrap_or(section.bytes.len() as u64);
            for word in [0, BASE + offset, offset, size] {
                table.extend(u64::to_le_bytes(word));
            }
            table.extend(section.link.to_le_bytes());
            table.extend([0; 4]);
            for word in [1_u64, 24] {
                table.extend(word.to_le_bytes());
            }
            names.extend(section.name.bytes().chain([0]));
            contents.extend(&section.bytes);
        }
        file.extend(table);
        file.extend(contents);
        file
    }

    /// A length that the file may have, given what its sections say of theirs.
    pub fn file_len(&self) -> u64 {
        let claims = self.sections.iter().filter_map(|section| section.size);
        self.bytes().len() as u64 + claims.max().unwrap_or(0)
    }
}

/// Modules whose layouts are known.
pub const MODULES: &str = "dep\tgolang.org/x/net\tv0.50.0\th1:abc=\n\
    dep\tgoogle.golang.org/grpc\tv1.80.0\th1:def=\n";

/// `.go.buildinfo` as cmd/link/internal/ld/data.go (`buildinfo`) writes it since Go 1.18.
pub fn build_info(version: &str, modules: &str) -> Section {
    let mut section = b"\xff Go buildinf:\x08\x02".to_vec();
    section.resize(32, 0);
    // 16 bytes on each side are Go's own mark.
    let framed = format!("0w\u{c}.begin.......{modules}............end.");
    for text in [version, framed.as_str()] {
        // An unsigned LEB128.
        let mut len = text.len();
        while len >= 0x80 {
            section.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        section.push(len as u8);
        section.extend_from_slice(text.as_bytes());
    }
    Section::new(".go.buildinfo", section)
}

/// `.gopclntab` of Go 1.20 and newer, as far as it leads from names to functions.
pub fn functions_table(functions: &[(&str, u64)]) -> Section {
    let mut names = b"go:buildid\0".to_vec();
    let mut places = Vec::new();
    for (name, _) in functions {
        places.push(names.len() as u32);
        names.extend(name.bytes().chain([0]));
    }
    let count = functions.len() as u32;
    let mut table = Vec::new();
    // One more entry than there are functions ends the table; a description has 44 bytes.
    let descriptions = 8 * count + 8;
    for (index, (_, at)) in functions.iter().enumerate() {
        table.extend((*at as u32).to_le_bytes());
        table.extend((descriptions + 44 * index as u32).to_le_bytes());
    }
    table.extend([0; 8]);
    for ((_, at), place) in functions.iter().zip(places) {
        table.extend((*at as u32).to_le_bytes());
        table.extend(place.to_le_bytes());
        table.extend([0; 36]);
    }
    let names_at = 72;
    let functions_at = names_at + names.len() as u64;
    let mut section = table_header(count.into(), BASE + CODE, names_at, functions_at, functions_at);
    section.extend(names);
    section.extend(table);
    Section::new(".gopclntab", section)
}

/// `pcHeader` (runtime/symtab.go): where the names begin and end, and where the functions begin.
pub fn table_header(count: u64, text: u64, names: u64, names_end: u64, functions: u64) -> Vec<u8> {
    let mut header = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    for word in [count, 0, text, names, names_end, names_end, names_end, functions] {
        header.extend(word.to_le_bytes());
    }
    header
}

/// A table of symbols, with these bytes for its strings, and what the headers say of the sizes.
pub fn symbols(
    symbols: Vec<u8>,
    strings: Vec<u8>,
    claims: [Option<u64>; 2],
    link: u32,
) -> [Section; 2] {
    let mut symbols = Section::new(".symtab", symbols).of_kind(2, link);
    let mut strings = Section::new(".strtab", strings).of_kind(3, 0);
    [symbols.size, strings.size] = claims;
    [symbols, strings]
}

/// The names of all functions that are probed, and of those that they are compared with.
pub const FUNCTIONS: [&str; 8] = [
    "net/http.(*persistConn).roundTrip",
    "google.golang.org/grpc/internal/transport.(*http2Client).write",
    "google.golang.org/grpc.(*Server).handleStream",
    "net/http.(*http2serverConn).runHandler",
    "golang.org/x/net/http2.(*serverConn).runHandler",
    "net.(*TCPConn).Close",
    "net.(*UnixConn).Close",
    "google.golang.org/grpc/internal/transport.(*http2Server).Close",
];

/// Executables that ask too much of their readers, with their names. Each is a file of a few KiB, and
/// pretends to be one of [`Made::file_len`] bytes.
pub fn hostile() -> Vec<(&'static str, Made)> {
    let code = PROLOGUE.to_vec();
    let go = |sections: Vec<Section>| {
        let all = [build_info("go1.24.4", MODULES)].into_iter().chain(sections).collect();
        Made::new(code.clone(), all)
    };
    // C inside, so that the table of symbols is needed.
    let with_c = |[symbols, strings]: [Section; 2]| Made {
        thread_storage: Some((64, 8)),
        ..go(vec![symbols, strings])
    };
    let table = |names_end: u64, count: u64, rest: &[u8], claim: u64| {
        let mut bytes = table_header(count, BASE + CODE, 72, names_end, names_end);
        bytes.extend(rest);
        Section::new(".gopclntab", bytes).claiming(claim)
    };
    let info = build_info("go1.24.4", MODULES);
    let name = format!("\0\0{}\0", FUNCTIONS[0]);
    // One name in front of nothing but zeros, and functions all over them.
    let far: Vec<u8> = name.bytes().collect();
    let names_end = 72 + far.len() as u64;
    let mut crossing = far.clone();
    for index in 0..6000_u32 {
        crossing.extend(index.to_le_bytes());
        // Each description is far from the one before.
        crossing.extend((index % 2 * (1 << 30) + 48_000 + 1024 * index).to_le_bytes());
    }
    let strings = b"\0runtime.tlsg\0".to_vec();
    let defined = |value: u8| [vec![0; 6], vec![1, 0, value], vec![0; 15]].concat();
    vec![
        ("sparse", go(vec![Section::new(".gopclntab", vec![]).claiming(1 << 40)])),
        ("long_build_info", Made::new(code.clone(), vec![info.claiming(700 << 20)])),
        ("many_sections", Made { section_count: Some(1 << 32), ..go(vec![]) }),
        ("many_headers", Made { more_headers: 70, ..go(vec![]) }),
        ("long_symbols", with_c(symbols(defined(1), strings.clone(), [Some(1 << 36), None], 4))),
        ("long_strings", with_c(symbols(defined(1), strings, [None, Some(1 << 36)], 4))),
        ("long_names", go(vec![table(1 << 36, 1, &[], 1 << 37)])),
        ("empty_names", go(vec![table((3 << 20) + 72, 1, &[], 1 << 37)])),
        ("many_functions", go(vec![table(names_end, 1 << 31, &far, 1 << 35)])),
        ("scattered_functions", go(vec![table(names_end, 1 << 27, &crossing, 1 << 37)])),
        ("long_data", go(vec![Section::new(".data.rel.ro", vec![]).claiming(1 << 38)])),
    ]
}
