use std::fs;
use std::time::Duration;

use super::*;
use crate::process::golang;

/// This test: an executable whose code is known to be there.
fn this() -> (Executable, Site) {
    let mut executable = Executable::new(File::open("/proc/self/exe").unwrap()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let found = executable.read(deadline, |elf| golang::program(elf, true)).unwrap();
    assert_eq!(found, None);
    let file_offset = executable.code[0].range.offset + 64;
    let mut bytes = vec![0; 16];
    executable.file.read_at(file_offset, &mut bytes).unwrap();
    (executable, Site { file_offset, bytes })
}

#[test]
fn only_the_expected_code_is_attached_to() {
    let (executable, site) = this();
    assert!(executable.check(&site).is_ok());
    let mut other = site.clone();
    other.bytes[15] ^= 1;
    assert!(matches!(executable.check(&other), Err(AttachError::Changed)));
    let range = executable.code[0].range;
    let end = range.offset + range.len;
    for file_offset in [0, range.offset - 1, end - 15, end, u64::MAX - 7, u64::MAX] {
        let outside = Site { file_offset, ..site.clone() };
        assert!(
            matches!(executable.check(&outside), Err(AttachError::NotCode)),
            "{file_offset:#x}"
        );
    }
    let nothing = Site { bytes: vec![], ..site };
    assert!(matches!(executable.check(&nothing), Err(AttachError::NotCode)));
}

/// A descriptor does not keep the owner from writing to the file.
#[test]
fn code_that_has_changed_since_it_was_read_is_left_alone() {
    let path = std::env::temp_dir().join(format!("executable-{}", std::process::id()));
    fs::copy("/proc/self/exe", &path).unwrap();
    let mut executable = Executable::new(File::open(&path).unwrap()).unwrap();
    let (before, site) = (executable.version(), this().1);
    executable.read(Instant::now() + Duration::from_secs(60), |_| Ok(())).unwrap();
    assert!(executable.check(&site).is_ok());
    let file = File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, &[!site.bytes[3]], site.file_offset + 3).unwrap();
    assert!(matches!(executable.check(&site), Err(AttachError::Changed)));
    // Its times may be set back, but for one.
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let after = Executable::new(File::open(&path).unwrap()).unwrap();
    fs::remove_file(path).unwrap();
    assert!(after.id() == executable.id() && after.version() != before);
    assert_eq!(after.version().made, before.made);
}

/// A name that leads to another file by now.
#[test]
fn the_file_and_not_its_name() {
    let id = FileId::at(rustix::fs::CWD, "/proc/self/exe").unwrap();
    let (executable, _) = this();
    assert_eq!(executable.id(), id);
    assert_eq!(
        FileId::at(rustix::fs::CWD, &format!("/proc/self/fd/{}", executable.file.as_raw_fd()))
            .unwrap(),
        id
    );
    assert_ne!(FileId::at(rustix::fs::CWD, "/bin/sh").unwrap(), id);
}

#[test]
fn a_deadline() {
    let mut executable = Executable::new(File::open("/proc/self/exe").unwrap()).unwrap();
    let read = executable.read(Instant::now(), |_| Ok(()));
    assert!(matches!(read, Err(ElfError::Read(error)) if error.kind() == io::ErrorKind::TimedOut));
}
