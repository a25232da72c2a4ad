//! A storage that keeps every operation in order. The thread that writes groups can be stopped in front of a write and the
//! allocator's in front of any operation, so that a recording does not depend on how threads are scheduled.
//!
//! In direct mode a write is durable when it returns, so its sync follows at once; a cut between the two hits the write
//! under way. In buffered mode only `sync` and `sync_all` make anything durable.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use florin_wal::{Access, Storage, StorageFile, WriteMode};

use super::event::{Event, Image, Name};
use super::{BLOCK, WATERMARK};

/// Who does an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Recovery, the start, the writer, whoever appends.
    Log,
    /// The thread that makes segments ahead.
    Spares,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub live: Image,
    /// Files that were removed: whoever had one open still reads it.
    removed: Image,
    pub events: Vec<(Origin, Event)>,
    handles: u64,
    /// Writes to segments that the writer may do before it stops; `None`: all.
    permits: Option<u64>,
    /// The writer stands in front of a write.
    pub blocked: bool,
    pub spares_held: bool,
    /// The segment in use when the threads were started, and the last one that was ready then.
    pub started_at: (u64, u64),
    pub failed: Option<String>,
    /// The highest frame that was acknowledged.
    pub acknowledged: u64,
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Debug)]
pub struct Recorder {
    mode: WriteMode,
    /// Whether the log that runs on it has its groups written by a thread of their own.
    writes_apart: bool,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug)]
struct OpenFile {
    name: Name,
    handle: u64,
    disk: Recorder,
}

impl State {
    /// The last segment that was begun since the disk was made.
    pub fn position(&self) -> Option<u64> {
        self.events.iter().rev().find_map(|(_, event)| event.begins())
    }

    /// What an open file holds.
    fn file(&self, name: &str) -> &Arc<Vec<u8>> {
        self.live.get(name).or_else(|| self.removed.get(name)).expect("an open file is there")
    }

    /// Whether the allocator has made all segments that it wants now: one ahead, and one more set aside.
    pub fn is_quiet(&self) -> bool {
        let (first, ready) = self.started_at;
        let at = self.position().unwrap_or(first).max(first);
        let wanted = (at + 1).saturating_sub(ready) + (at + 2).saturating_sub(ready);
        let done = self.events.iter().filter(|event| matches!(event, (Origin::Spares, Event::SyncDirectory)));
        done.count() as u64 >= wanted
    }
}

impl Recorder {
    /// A disk that holds these files.
    pub fn of(live: Image, mode: WriteMode) -> Recorder {
        // Handles of different lives are different, or a sync of one would cover what another one wrote.
        static LIVES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let life = LIVES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let state = State { live, handles: life << 24, ..State::default() };
        Recorder { mode, writes_apart: false, shared: Arc::new((Mutex::new(state), Condvar::new())) }
    }

    /// The same disk, for a log whose groups, all or none, are written by a thread of their own.
    pub fn writing_apart(self, writes_apart: bool) -> Recorder {
        Recorder { writes_apart, ..self }
    }

    /// Bytes of a group from which on the log has it written by a thread of its own.
    pub(super) fn written_apart_from(&self) -> usize {
        if self.writes_apart { 0 } else { usize::MAX }
    }

    /// What processes see.
    pub fn live(&self) -> Image {
        self.lock().live.clone()
    }

    /// How its writes become durable.
    pub fn mode(&self) -> WriteMode {
        self.mode
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no panic while the disk is held")
    }

    /// Changes the state and wakes whoever waits for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.lock());
        self.shared.1.notify_all();
        out
    }

    /// Waits until the state is so; a log that fails ends the wait in a panic.
    pub(super) fn wait_until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        while !is_so(&state) {
            let failed = state.failed.clone();
            if let Some(failure) = failed {
                drop(state);
                panic!("the log failed while waiting for {what}: {failure}");
            }
            state = self.shared.1.wait(state).expect("no panic while the disk is held");
        }
    }

    /// Called on the writer's thread. It goes on once the allocator has caught up, unless that is held: the time that
    /// segments take never decides whether the writer waits for one.
    pub(super) fn acknowledge(&self, frame: u64) {
        self.change(|state| {
            state.events.push((Origin::Log, Event::Acknowledged(frame)));
            state.acknowledged = frame;
        });
        let mut state = self.lock();
        while !state.spares_held && !state.is_quiet() {
            state = self.shared.1.wait(state).expect("no panic while the disk is held");
        }
    }

    pub(super) fn note(&self, event: Event) {
        self.change(|state| state.events.push((Origin::Log, event)));
    }

    /// Stops the writer in front of its next write to a segment.
    pub(super) fn hold_writer(&self) {
        self.change(|state| state.permits = Some(0));
    }

    /// Lets the writer do one write to a segment.
    pub(super) fn permit_one(&self) {
        self.change(|state| {
            state.permits = Some(1);
            state.blocked = false;
        });
    }

    /// Lets the writer go on.
    pub(super) fn release_writer(&self) {
        self.change(|state| {
            state.permits = None;
            state.blocked = false;
        });
    }

    /// Stops the allocator in front of its next operation, or lets it go on.
    pub(super) fn hold_spares(&self, held: bool) {
        self.change(|state| state.spares_held = held);
    }

    /// One operation by whatever thread this is.
    fn operate<T>(&self, file: &Name, writes: bool, act: impl FnOnce(&mut State, Origin) -> T) -> T {
        let thread = std::thread::current();
        let mut state = self.lock();
        let origin = match thread.name() {
            Some("log-spares") => Origin::Spares,
            _ => Origin::Log,
        };
        while origin == Origin::Spares && state.spares_held {
            state = self.shared.1.wait(state).expect("no panic while the disk is held");
        }
        if writes && matches!(thread.name(), Some("log-writer" | "log-disk")) && &**file != WATERMARK {
            while state.permits == Some(0) {
                if !state.blocked {
                    state.blocked = true;
                    self.shared.1.notify_all();
                }
                state = self.shared.1.wait(state).expect("no panic while the disk is held");
            }
            state.permits = state.permits.map(|permits| permits - 1);
        }
        let out = act(&mut state, origin);
        drop(state);
        self.shared.1.notify_all();
        out
    }

    fn handle(&self, state: &mut State, name: &str) -> Box<dyn StorageFile> {
        state.handles += 1;
        Box::new(OpenFile { name: name.into(), handle: state.handles, disk: self.clone() })
    }
}

impl Storage for Recorder {
    fn open(&self, name: &str, _: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.lock();
        match state.live.contains_key(name) {
            true => Ok(self.handle(&mut state, name)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file: Name = name.into();
        self.operate(&file, false, |state, origin| {
            if !state.live.contains_key(name) {
                state.live.insert(Arc::clone(&file), Arc::default());
                state.events.push((origin, Event::Create { file: Arc::clone(&file) }));
            }
            Ok(self.handle(state, name))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (file, to): (Name, Name) = (from.into(), to.into());
        self.operate(&file, false, |state, origin| {
            let bytes = state.live.remove(&file).ok_or(io::ErrorKind::NotFound)?;
            assert!(state.live.insert(Arc::clone(&to), bytes).is_none(), "nothing stands under the new name");
            state.events.push((origin, Event::Rename { file: Arc::clone(&file), to }));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let file: Name = name.into();
        self.operate(&file, false, |state, origin| {
            let bytes = state.live.remove(&file).ok_or(io::ErrorKind::NotFound)?;
            state.removed.insert(Arc::clone(&file), bytes);
            state.events.push((origin, Event::Remove { file: Arc::clone(&file) }));
            Ok(())
        })
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{directory}/");
        Ok(self.lock().live.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn sync_directory(&self, _: &str) -> io::Result<()> {
        self.operate(&WATERMARK.into(), false, |state, origin| state.events.push((origin, Event::SyncDirectory)));
        Ok(())
    }
}

impl StorageFile for OpenFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().file(&self.name).len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let file = Arc::clone(self.disk.lock().file(&self.name));
        let from = offset as usize;
        into.copy_from_slice(file.get(from..from + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let places = [bytes.len(), offset as usize, bytes.as_ptr() as usize];
        assert!(places.iter().all(|place| place.is_multiple_of(BLOCK)), "whole blocks from aligned memory");
        self.disk.operate(&self.name, true, |state, origin| {
            let file = Arc::make_mut(state.live.get_mut(&self.name).expect("an open file is there"));
            let (from, to) = (offset as usize, offset as usize + bytes.len());
            file.resize(file.len().max(to), 0);
            file[from..to].copy_from_slice(bytes);
            let (file, handle) = (Arc::clone(&self.name), self.handle);
            state.events.push((origin, Event::Write { file, handle, offset, bytes: bytes.into() }));
            if self.disk.mode == WriteMode::Direct {
                state.events.push((origin, Event::Sync { file: Arc::clone(&self.name), handle }));
            }
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.mode == WriteMode::Buffered {
            let event = Event::Sync { file: Arc::clone(&self.name), handle: self.handle };
            self.disk.operate(&self.name, false, |state, origin| state.events.push((origin, event)));
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let event = Event::SyncAll { file: Arc::clone(&self.name) };
        self.disk.operate(&self.name, false, |state, origin| state.events.push((origin, event)));
        Ok(())
    }

    fn extend(&self, bytes: u64) -> io::Result<()> {
        self.disk.operate(&self.name, false, |state, origin| {
            let live = Arc::make_mut(state.live.get_mut(&self.name).expect("an open file is there"));
            live.resize(live.len().max(bytes as usize), 0);
            let event = Event::Extend { file: Arc::clone(&self.name), handle: self.handle, bytes };
            state.events.push((origin, event));
        });
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<bool> {
        Ok(true)
    }
}
