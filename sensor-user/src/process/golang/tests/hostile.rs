//! Executables that ask for more than a look may cost.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::made::{self, Made};
use super::*;
use crate::process::elf::{BYTES, READ_MIN, Source, WINDOW};

/// A sparse file, which counts what is read of it.
struct Counted {
    file: File,
    reads: Cell<u64>,
    read: Cell<u64>,
    longest: Cell<usize>,
}

impl Counted {
    fn new(made: &Made) -> Self {
        let path = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.write_all(&made.bytes()).unwrap();
        file.set_len(made.file_len()).unwrap();
        let (reads, read, longest) = Default::default();
        Self { file, reads, read, longest }
    }
}

impl Source for Counted {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let len = Source::read_at(&self.file, offset, into)?;
        self.reads.set(self.reads.get() + 1);
        self.read.set(self.read.get() + len as u64);
        self.longest.set(self.longest.get().max(into.len()));
        Ok(len)
    }
}

/// What this thread has had of a core, in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn on_core() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_look_has_a_budget() {
    for (name, made) in made::hostile() {
        let file = Counted::new(&made);
        let before = on_core();
        let found = Elf::parse(&file).and_then(|elf| program(&elf, true));
        let took = on_core() - before;
        let (read, reads) = (file.read.get(), file.reads.get());
        println!("{name}: {found:?}, {read} bytes in {reads} reads, {took} ns");
        match name {
            // What these ask for is within the budget.
            "sparse" | "many_headers" | "empty_names" => {
                assert!(matches!(&found, Ok(Some(_))), "{name}: {found:?}");
            }
            _ => assert!(matches!(&found, Err(ElfError::Budget(_))), "{name}: {found:?}"),
        }
        assert!(read <= BYTES && reads <= BYTES / READ_MIN, "{name}: {read} bytes, {reads} reads");
        // Whatever is held is held by buffers for one read each, of which there are a few.
        assert!(file.longest.get() <= WINDOW, "{name}");
        let limit = if cfg!(debug_assertions) { 3_000_000_000 } else { 200_000_000 };
        assert!(took < limit, "{name}: {took} ns");
    }
}

/// Headers may say that there are 65,535 program headers, or sections of another size.
#[test]
fn headers_that_say_too_much() {
    let whole = Made::go(made::PROLOGUE.to_vec(), &[]).bytes();
    for (at, value) in [(56, 0xffff_u16), (56, 129), (54, 57), (58, 65), (60, 5000), (60, 0)] {
        let mut bytes = whole.clone();
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        let found = look(&bytes, true);
        match (at, value) {
            // There is no count in section 0 either: no sections.
            (60, 0) => assert_eq!(found.unwrap(), None),
            _ => assert!(found.is_err(), "{at}: {found:?}"),
        }
    }
}

/// The fuzz target begins with these. `SEEDS=write` writes them anew.
#[test]
fn seeds_of_the_fuzz_target_are_what_is_made_here() {
    let directory: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz/seeds/golang");
    let functions = made::FUNCTIONS.map(|name| (name, 0));
    let mut seeds = made::hostile();
    seeds.push(("go", Made::go(made::PROLOGUE.to_vec(), &functions)));
    for (name, made) in seeds {
        let bytes = made.bytes();
        // A long table of this kind is not worth its place.
        if bytes.len() > 16 << 10 {
            continue;
        }
        let path = directory.join(name);
        if std::env::var("SEEDS").is_ok_and(|it| it == "write") {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{}", path.display());
    }
}
