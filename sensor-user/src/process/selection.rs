//! Which processes are traced: those that are named, and their descendants.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::directory::{Directory, Stat};
use super::service::basename;
use crate::capture::event::{ProcessKey, Tgid};

/// Longest `comm` (`TASK_COMM_LEN` less its end).
const COMM_MAX: usize = 15;

/// The processes that are asked for. An empty selection selects every process.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pids: HashSet<Tgid>,
    comm: GlobSet,
    /// Of globs with a slash: the whole path.
    exe_path: GlobSet,
    /// Of globs without: the file name.
    exe_name: GlobSet,
}

/// What a selection looks at.
#[derive(Clone, Copy, Debug)]
pub struct ProcessFacts<'a> {
    /// The process.
    pub tgid: Tgid,
    /// Its name by the kernel, at most 15 bytes.
    pub comm: &'a str,
    /// Its executable's path, where it is known.
    pub exe: Option<&'a str>,
}

/// Why a selection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// A glob breaks the grammar.
    #[error("--{option} {glob}: {source}")]
    Glob {
        /// The option.
        option: &'static str,
        /// Its value.
        glob: String,
        /// What is wrong.
        source: globset::Error,
    },
    /// A name that no process can have.
    #[error(
        "--comm {glob}: the kernel keeps {COMM_MAX} bytes of a name, so this can match nothing; \
         use --comm '{cut}*' or --exe"
    )]
    CommTooLong {
        /// The name.
        glob: String,
        /// What the kernel keeps of it.
        cut: String,
    },
}

impl Selection {
    /// A selection of processes by id, by `comm`, or by executable. Globs have `*`, `?`, `[…]` and
    /// `{…}`; a glob for executables without a slash is for the file name, else for the whole path,
    /// where `**` crosses directories and `*` does not.
    ///
    /// # Errors
    /// All that is wrong, not just the first.
    pub fn new(
        pids: impl IntoIterator<Item = u32>,
        comm: &[String],
        exe: &[String],
    ) -> Result<Self, Vec<SelectionError>> {
        let mut errors = Vec::new();
        for glob in comm {
            let literal = !glob.contains(['*', '?', '[', '{', '\\']);
            if literal && glob.len() > COMM_MAX {
                let cut = glob.char_indices().take_while(|(at, c)| at + c.len_utf8() <= COMM_MAX);
                let cut = cut.map(|(_, c)| c).collect();
                errors.push(SelectionError::CommTooLong { glob: glob.clone(), cut });
            }
        }
        let (path, name): (Vec<_>, Vec<_>) = exe.iter().partition(|glob| glob.contains('/'));
        let comm = glob_set("comm", &comm.iter().collect::<Vec<_>>(), false, &mut errors);
        let exe_path = glob_set("exe", &path, true, &mut errors);
        let exe_name = glob_set("exe", &name, false, &mut errors);
        if errors.is_empty() {
            let pids = pids.into_iter().map(Tgid).collect();
            Ok(Self { pids, comm, exe_path, exe_name })
        } else {
            Err(errors)
        }
    }

    /// Nothing is asked for: every process is selected.
    pub fn is_empty(&self) -> bool {
        let Self { pids, comm, exe_path, exe_name } = self;
        pids.is_empty() && comm.is_empty() && exe_path.is_empty() && exe_name.is_empty()
    }

    /// Whether programs that start later may be selected by their name.
    pub fn by_name(&self) -> bool {
        !self.comm.is_empty() || self.by_executable()
    }

    /// Whether executables are asked for.
    pub fn by_executable(&self) -> bool {
        !(self.exe_path.is_empty() && self.exe_name.is_empty())
    }

    /// The ids that are asked for.
    pub fn pids(&self) -> impl Iterator<Item = Tgid> + '_ {
        self.pids.iter().copied()
    }

    /// Whether this process, of those that were there at the start, is selected by itself; its
    /// descendants are with it.
    pub fn matches(&self, facts: &ProcessFacts<'_>) -> bool {
        self.is_empty() || self.pids.contains(&facts.tgid) || self.matches_name(facts)
    }

    /// Whether a process that was started later is selected by itself. Ids do not count: `--pid`
    /// names a process that ran at the start.
    pub fn matches_name(&self, facts: &ProcessFacts<'_>) -> bool {
        let &ProcessFacts { tgid: _, comm, exe } = facts;
        self.comm.is_match(comm)
            || exe.is_some_and(|exe| {
                let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
                self.exe_path.is_match(exe) || self.exe_name.is_match(basename(exe))
            })
    }
}

/// The processes there are, in the order of their ids, and whether each is selected, by itself or by
/// an ancestor that is still there.
///
/// # Errors
/// When `proc_root` (`/proc`) cannot be listed. A process that ends meanwhile is left out.
pub fn initial_selection(
    proc_root: &Path,
    selection: &Selection,
) -> io::Result<Vec<(ProcessKey, bool)>> {
    let mut parents = HashMap::new();
    let mut verdicts = HashMap::new();
    for entry in fs::read_dir(proc_root)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(directory) = Directory::of_pid(proc_root, Tgid(pid)) else { continue };
        let Ok(stat) = directory.stat() else { continue };
        let Some(verdict) = look(&directory, Tgid(pid), |facts| selection.matches(facts)) else {
            continue;
        };
        verdicts.insert(pid, verdict);
        parents.insert(pid, stat);
    }

    let selected = |pid: u32| {
        // Processes may have come and gone while they were listed: the walk is bounded.
        let parent = |pid: &u32| parents.get(pid).map(|stat| stat.parent);
        let ancestors = std::iter::successors(Some(pid), parent);
        ancestors.take(parents.len()).any(|pid| verdicts.get(&pid).copied().unwrap_or(false))
    };
    let key = |pid, stat: &Stat| ProcessKey { tgid: Tgid(pid), start: stat.start };
    let mut all: Vec<_> =
        parents.iter().map(|(&pid, stat)| (key(pid, stat), selected(pid))).collect();
    all.sort_unstable_by_key(|(process, _)| process.tgid.0);
    Ok(all)
}

/// Whether a process that was started later is selected by itself; `None` if it has ended, or is
/// ending and its executable cannot be read any more.
pub fn is_selected(proc_root: &Path, process: ProcessKey, selection: &Selection) -> Option<bool> {
    let directory = Directory::open(proc_root, process).ok()?;
    let selected = look(&directory, process.tgid, |facts| selection.matches_name(facts))?;
    // The process was there until now. At its end, the executable goes first.
    let exiting = directory.stat().ok()?.exiting;
    (selected || !exiting || !selection.by_executable()).then_some(selected)
}

/// The executable of a process, where it is there and may be read.
pub fn executable(proc_root: &Path, process: ProcessKey) -> Option<String> {
    Directory::open(proc_root, process).ok()?.exe()
}

fn look<T>(
    directory: &Directory,
    tgid: Tgid,
    take: impl FnOnce(&ProcessFacts<'_>) -> T,
) -> Option<T> {
    let comm = directory.comm().ok()?;
    let exe = directory.exe();
    Some(take(&ProcessFacts { tgid, comm: &String::from_utf8_lossy(&comm), exe: exe.as_deref() }))
}

fn glob_set(
    option: &'static str,
    globs: &[&String],
    path: bool,
    errors: &mut Vec<SelectionError>,
) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for &glob in globs {
        match GlobBuilder::new(glob).literal_separator(path).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(source) => {
                errors.push(SelectionError::Glob { option, glob: glob.clone(), source });
            }
        }
    }
    set.build().unwrap_or_else(|source| {
        let glob = globs.iter().map(|glob| glob.as_str()).collect::<Vec<_>>().join(" ");
        errors.push(SelectionError::Glob { option, glob, source });
        GlobSet::empty()
    })
}

#[cfg(test)]
mod tests;
