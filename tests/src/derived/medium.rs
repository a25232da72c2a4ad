//! The files that makers of snapshots and runs of ids work on: a tree, of which each state that an operation made is kept, and any of whose
//! operations can fail.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use florin_engine::rig::{Files, NewFile, OldFile};

use super::tree::Tree;
use crate::disk::SECTOR;

/// What has to hold of a state.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub struct Marks {
    /// Frames that are durable: nothing may say more.
    pub frames: u64,
    /// Last frame of a snapshot that was said to be there: it, or a newer one, is.
    pub snapshot: u64,
    /// Last row of the runs of ids that were said to be there: their ids need not be read from the log.
    pub rows: u64,
    /// Something rotted: what was said to be there may be damaged.
    pub rotten: bool,
}

/// A state, and what was done last.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Step {
    pub what: String,
    pub tree: Tree,
    pub marks: Marks,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The medium does not answer.
    Broken,
    /// There is no room for what is written; what reads finds the medium broken.
    Full,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    marks: Marks,
    steps: Option<Vec<Step>>,
    calls: u64,
    /// Which call is to fail, and how.
    fails: Option<(u64, Failure)>,
    failed: Option<Failed>,
}

/// A call that failed.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Failed {
    pub what: String,
    /// Whether it would have changed something.
    pub changes: bool,
}

/// The medium, shared by all who work on it.
#[derive(Clone, Default)]
pub struct Medium(Arc<Mutex<State>>);

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a medium")
    }
}

impl Medium {
    /// A medium with this on it.
    pub fn of(tree: Tree, marks: Marks) -> Medium {
        Medium(Arc::new(Mutex::new(State { tree, marks, ..State::default() })))
    }

    /// As [`Medium::of`], which keeps each state.
    pub fn recorded(tree: Tree, marks: Marks) -> Medium {
        let medium = Medium::of(tree, marks);
        medium.lock().steps = Some(Vec::new());
        medium
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is held")
    }

    /// What is on it.
    pub fn tree(&self) -> Tree {
        self.lock().tree.clone()
    }

    /// What holds of it now.
    pub fn marks(&self) -> Marks {
        self.lock().marks
    }

    /// Says what holds from now on.
    pub fn mark(&self, change: impl FnOnce(&mut Marks)) {
        let mut state = self.lock();
        change(&mut state.marks);
        let marks = state.marks;
        state.keep("something was said", marks);
    }

    /// The states that were kept.
    pub fn take_steps(&self) -> Vec<Step> {
        self.lock().steps.take().expect("it keeps them")
    }

    /// Changes a bit of a file.
    pub fn rot(&self, path: &Path, at: usize, bit: u8) {
        let mut state = self.lock();
        state.tree.rot(path, at, bit);
        state.marks.rotten = true;
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Makes the n-th call from now on fail, the first one being 1.
    pub fn fail(&self, nth: u64, failure: Failure) {
        let mut state = self.lock();
        state.fails = Some((state.calls + nth, failure));
    }

    /// The call that failed, if it came to that; none fails any more.
    pub fn end_failing(&self) -> Option<Failed> {
        let mut state = self.lock();
        state.fails = None;
        state.failed.take()
    }

    /// A call that changes something, and what it does if it fails.
    fn change<T>(
        &self,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut Tree) -> io::Result<T>,
        fails: impl FnOnce(&mut Tree),
    ) -> io::Result<T> {
        let mut state = self.lock();
        let what = what();
        if let Err(error) = state.call(|| what.clone(), true) {
            fails(&mut state.tree);
            return Err(error);
        }
        let done = act(&mut state.tree)?;
        let marks = state.marks;
        state.keep(&what, marks);
        Ok(done)
    }

    fn look<T>(&self, what: impl FnOnce() -> String, act: impl FnOnce(&Tree) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        state.call(what, false)?;
        act(&state.tree)
    }
}

impl State {
    fn call(&mut self, what: impl FnOnce() -> String, changes: bool) -> io::Result<()> {
        self.calls += 1;
        match self.fails {
            Some((call, failure)) if call == self.calls => {
                self.failed = Some(Failed { what: what(), changes });
                // As the system numbers them.
                Err(io::Error::from_raw_os_error(match failure {
                    Failure::Full if changes => 28,
                    Failure::Full | Failure::Broken => 5,
                }))
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, what: &str, marks: Marks) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step { what: what.into(), tree: self.tree.clone(), marks });
        }
    }
}

impl Files for Medium {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|| format!("make folder {}", path.display()), |tree| tree.make_folder(path), |_| ())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let number = self.change(|| format!("create {}", path.display()), |tree| tree.create(path), |_| ())?;
        Ok(Box::new(Open { medium: self.clone(), number, name: path.display().to_string() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OldFile>> {
        let name = path.display().to_string();
        let find = |tree: &Tree| tree.find(path).and_then(|number| tree.contents(number).map(|_| number));
        let number = self.look(|| format!("open {name}"), find)?;
        Ok(Box::new(Open { medium: self.clone(), number, name }))
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let from = self.open(from)?;
        let mut bytes = vec![0; from.length()? as usize];
        from.read_at(&mut bytes, 0)?;
        let mut to = self.create(to)?;
        to.write_all(&bytes)?;
        to.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = || format!("rename {} to {}", from.display(), to.display());
        self.change(what, |tree| tree.rename(from, to), |_| ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|| format!("remove {}", path.display()), |tree| tree.remove(path), |_| ())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|| format!("remove folder {}", path.display()), |tree| tree.remove_folder(path), |_| ())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let names = self.look(|| format!("list {}", path.display()), |tree| tree.list(path))?;
        Ok(names.into_iter().map(OsString::from).collect())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|| format!("sync folder {}", path.display()), |tree| tree.sync_folder(path), |_| ())
    }

    fn exists(&self, path: &Path) -> bool {
        self.lock().tree.find(path).is_ok()
    }
}

/// A file that somebody has open.
#[derive(Debug)]
struct Open {
    medium: Medium,
    number: u64,
    name: String,
}

impl Open {
    fn sync(&self) -> io::Result<()> {
        let number = self.number;
        let sync = |tree: &mut Tree| {
            tree.sync(number);
            Ok(())
        };
        self.medium.change(|| format!("sync {}", self.name), sync, |tree| tree.forget(number))
    }
}

impl NewFile for Open {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What a kill within the call leaves, or what there was room for.
        let (start, rest) = bytes.split_at(bytes.len() / 2 / SECTOR * SECTOR);
        let (number, name) = (self.number, &self.name);
        let mut state = self.medium.lock();
        if !start.is_empty() && state.steps.is_some() {
            let whole = state.tree.clone();
            state.tree.append(number, start);
            let marks = state.marks;
            state.keep(&format!("write the first {} of {} bytes to {name}", start.len(), bytes.len()), marks);
            state.tree = whole;
        }
        drop(state);
        let write = |tree: &mut Tree| {
            tree.append(number, start);
            tree.append(number, rest);
            Ok(())
        };
        let what = || format!("write {} bytes to {name}", bytes.len());
        self.medium.change(what, write, |tree| tree.append(number, start))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync()
    }
}

impl OldFile for Open {
    fn length(&self) -> io::Result<u64> {
        self.medium.look(|| format!("length of {}", self.name), |tree| Ok(tree.contents(self.number)?.len() as u64))
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        let read = |tree: &Tree| {
            let bytes = tree.contents(self.number)?.get(from..from + into.len());
            into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        self.medium.look(|| format!("read {} at {offset}", self.name), read)
    }
}
