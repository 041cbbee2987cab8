//! Files of captured data. Captured data holds credentials, so nobody but the user that runs the sensor may read such
//! a file, and nobody else may choose where it ends up:
//!
//! - the file is always a new one (`O_CREAT|O_EXCL|O_NOFOLLOW`) of mode 0600; no link is followed, and nothing is
//!   truncated;
//! - its directory is opened and checked once, and everything after that is relative to it. It has to belong to
//!   root or to this user, and others may write to it only if it is sticky, as `/tmp` is: there, nobody else can
//!   rename or remove the file;
//! - a file that is to be replaced stays as it is until the new one is complete.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// What the new file is called until it replaces the old one.
const PARTIAL: &str = ".partial";

/// The bits of a mode by which others than the owner may read.
const OTHERS_READ: u32 = 0o044;
/// The bits of a mode by which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
/// All bits of a mode for others than the owner.
const OTHERS: u32 = 0o077;
/// In a directory with this bit, a file is renamed and removed by its owner and the directory's alone.
const STICKY: u32 = 0o1000;

/// Why a file of captured data is not created. The text names what to do.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// There is such a file.
    #[error("{} is there already: choose another name, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// There is something else.
    #[error("{} is there already, and is {kind}: choose another name", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// There is one of another user.
    #[error(
        "{} belongs to user {owner}, and is not replaced: choose another name", path.display()
    )]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// The file's owner.
        owner: u32,
    },
    /// Something was left behind.
    #[error(
        "{} is there, of a recording that was broken off: remove it, or give it another name",
        .0.display()
    )]
    Partial(PathBuf),
    /// The directory is another user's.
    #[error(
        "cannot create {}: its directory belongs to user {owner}, who could put another file in its \
         place; choose one of your own (user {user}) or of root, or /tmp", path.display()
    )]
    DirectoryOwner {
        /// The path.
        path: PathBuf,
        /// The directory's owner.
        owner: u32,
        /// This process's user.
        user: u32,
    },
    /// Others may write to the directory.
    #[error(
        "cannot create {}: others may write to its directory (mode {mode:04o}), and put another file \
         in its place; choose another one, or `chmod go-w` this one", path.display()
    )]
    DirectoryMode {
        /// The path.
        path: PathBuf,
        /// The directory's mode.
        mode: u32,
    },
    /// Modes do not work there.
    #[error(
        "cannot create {}: its file system does not keep others from reading it (mode {mode:04o}); \
         choose a directory on another one", path.display()
    )]
    FileMode {
        /// The path.
        path: PathBuf,
        /// The mode that the file has.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot create {}: {source}", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The new file could not take the old one's place.
    #[error(
        "cannot replace {}, which is as it was: {source}; the new one is {}",
        path.display(), partial.display()
    )]
    Replace {
        /// The file that was to be replaced.
        path: PathBuf,
        /// The new one.
        partial: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and creating fails.
    Refuse,
    /// [`PrivateFile::commit`] replaces it.
    Replace,
}

/// A new file. Removed when dropped, until [`Self::keep`].
pub struct PrivateFile {
    file: File,
    directory: OwnedFd,
    /// What it is called now.
    name: OsString,
    path: PathBuf,
    /// What it will be called, if that is something else.
    replaces: Option<OsString>,
    kept: bool,
}

impl fmt::Debug for PrivateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl PrivateFile {
    /// Creates it.
    ///
    /// # Errors
    /// When there is something at this place that may not be replaced, or the directory is not safe.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, PrivateFileError> {
        let system =
            |error: Errno| PrivateFileError::System { path: path.to_owned(), source: error.into() };
        let name = path.file_name().ok_or_else(|| system(Errno::ISDIR))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let directory = fs::openat(CWD, parent.unwrap_or(Path::new(".")), flags, Mode::empty())
            .map_err(system)?;
        check_directory(path, &fs::fstat(&directory).map_err(system)?)?;

        let there = match fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(system(error)),
        };
        if let Some(there) = &there {
            check_existing(path, there, existing)?;
        }
        let replaces = there.is_some().then(|| name.to_owned());
        let mut name = name.to_owned();
        if replaces.is_some() {
            name.push(PARTIAL);
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match fs::openat(&directory, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            Err(Errno::EXIST) if replaces.is_some() => {
                return Err(PrivateFileError::Partial(path.with_file_name(name)));
            }
            // It came in the meantime.
            Err(Errno::EXIST) => return Err(PrivateFileError::Exists(path.to_owned())),
            Err(error) => return Err(system(error)),
        };
        let path = path.to_owned();
        let created = Self { file, directory, name, path, replaces, kept: false };
        created.check_mode()?;
        Ok(created)
    }

    /// Neither the umask nor a directory's default access list decides on the mode.
    fn check_mode(&self) -> Result<(), PrivateFileError> {
        let system = |error: Errno| PrivateFileError::System {
            path: self.path.clone(),
            source: error.into(),
        };
        fs::fchmod(&self.file, Mode::RUSR | Mode::WUSR).map_err(system)?;
        let mode = permissions(&fs::fstat(&self.file).map_err(system)?);
        if mode & OTHERS != 0 {
            return Err(PrivateFileError::FileMode { path: self.path.clone(), mode });
        }
        Ok(())
    }

    /// From now on the file stays, whatever happens.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Where the file is until [`Self::commit`], if that is not where it was asked for.
    #[must_use]
    pub fn partial(&self) -> Option<PathBuf> {
        self.replaces.as_ref().map(|_| self.path.with_file_name(&self.name))
    }

    /// The file is complete: it takes its place.
    ///
    /// # Errors
    /// When the file that is to be replaced cannot be. Both are there then.
    pub fn commit(mut self) -> Result<(), PrivateFileError> {
        self.keep();
        let Some(old) = &self.replaces else { return Ok(()) };
        // Else a crash of the machine could leave an empty file in place of the old one.
        let replaced = self
            .file
            .sync_data()
            .and_then(|()| Ok(fs::renameat(&self.directory, &self.name, &self.directory, old)?));
        replaced.map_err(|source| PrivateFileError::Replace {
            path: self.path.clone(),
            partial: self.path.with_file_name(&self.name),
            source,
        })
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing is in it that anybody could miss.
            let _ = fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

fn permissions(of: &Stat) -> u32 {
    of.st_mode & 0o7777
}

fn check_directory(path: &Path, directory: &Stat) -> Result<(), PrivateFileError> {
    let (owner, user) = (directory.st_uid, geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(PrivateFileError::DirectoryOwner { path: path.to_owned(), owner, user });
    }
    let mode = permissions(directory);
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        return Err(PrivateFileError::DirectoryMode { path: path.to_owned(), mode });
    }
    Ok(())
}

fn check_existing(path: &Path, there: &Stat, existing: Existing) -> Result<(), PrivateFileError> {
    let path = path.to_owned();
    let kind = match FileType::from_raw_mode(there.st_mode) {
        FileType::RegularFile => {
            let (owner, user) = (there.st_uid, geteuid().as_raw());
            return match existing {
                Existing::Refuse => Err(PrivateFileError::Exists(path)),
                Existing::Replace if owner != user => {
                    Err(PrivateFileError::NotOurs { path, owner })
                }
                Existing::Replace => Ok(()),
            };
        }
        FileType::Symlink => "a symbolic link, which is not followed",
        FileType::Directory => "a directory",
        _ => "no regular file",
    };
    Err(PrivateFileError::NotAFile { path, kind })
}

/// The mode of an open file that others may read; none for what is no regular file (a pipe, a terminal).
#[must_use]
pub fn readable_by_others(file: impl AsFd) -> Option<u32> {
    let stat = fs::fstat(file).ok()?;
    let mode = permissions(&stat);
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    (regular && mode & OTHERS_READ != 0).then_some(mode)
}

#[cfg(test)]
mod tests;
