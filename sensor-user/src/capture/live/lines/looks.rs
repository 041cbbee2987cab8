//! Look-ups in the file systems of processes, which can block.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FileType;

use super::super::looker::{self, Looker};
use super::search::{Found, Searcher, Wanted};
use super::{Life, Place, copiers, root, search};
use crate::capture::event::{FileId, ProcessKey};

const LIMITS: looker::Limits =
    looker::Limits { queue: 1024, each: 64, patience: Duration::from_secs(2), stuck: 4 };

/// A look-up.
#[derive(Debug)]
pub(super) enum Question {
    /// The path of a file that was written to.
    File(search::Question),
    /// The named pipe at a descriptor.
    Pipe(Life, u32),
    /// Whether the process is a copier.
    Copier(Life),
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub(super) enum Answer {
    /// To [`Question::File`].
    File(FileId, Found),
    /// To [`Question::Pipe`].
    Pipe(Life, u32, Option<Place>),
    /// To [`Question::Copier`]: its executable, or the reason against it.
    Copier(Life, Result<PathBuf, &'static str>),
}

pub(super) type Looks = Looker<ProcessKey, Question, Answer>;

/// A looker for processes below `proc` (`/proc`).
pub(super) fn looks(proc: PathBuf, wanted: Arc<Wanted>) -> Looks {
    Looker::new("lines", LIMITS, move || {
        let mut searcher = Searcher::new(proc.clone(), Arc::clone(&wanted));
        let proc = proc.clone();
        move |&key: &ProcessKey, question| match question {
            Question::File(question) => Answer::File(question.file, searcher.find(key, &question)),
            Question::Pipe(life, fd) => {
                let facts = root::link(&proc.join(format!("{}/fd/{fd}", key.tgid.0))).ok();
                let pipe = facts.filter(|facts| facts.kind == FileType::Fifo);
                Answer::Pipe(life, fd, pipe.map(|facts| facts.place))
            }
            Question::Copier(life) => Answer::Copier(life, copiers::check(&proc, key)),
        }
    })
}
