//! What the log's tests share: a disk in memory that records, fails, tears and forgets, and a ledger to run on it.
#![allow(dead_code, missing_docs)]

pub mod packs;

use florin_wal::*;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

pub const BLOCK: usize = 4096;
pub const SECTOR: usize = 512;

/// Files by name, as bytes.
pub type Image = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Debug)]
pub struct Written {
    pub file: String,
    pub offset: u64,
    pub bytes: Vec<u8>,
}

#[derive(Default)]
pub struct Disk {
    /// What a process sees.
    pub live: Image,
    /// What survives a power cut for certain.
    pub durable: Image,
    /// Written and not synced.
    pub pending: Vec<Written>,
    /// Files that were renamed or removed since the directory was synced.
    pub names: Vec<NameChange>,
    /// Files that were removed: whoever had one open still reads it.
    pub removed: Image,
    /// Operations of this thread are counted, and the disk is kept as it was after each.
    pub watched: Option<std::thread::ThreadId>,
    pub steps: Vec<Left>,
    /// The operation of the watched thread that fails, from 1.
    pub fails_at: Option<u64>,
    /// All writes to segments and the watermark once the log runs, in order.
    pub trace: Vec<Written>,
    /// Write or sync calls left until one fails; `None`: never. After it all fail.
    pub calls_left: Option<u64>,
    pub calls: u64,
    /// Creating and reserving fail.
    pub full: bool,
    pub reserves: bool,
    /// Space can be set aside, but what is set aside cannot be filled.
    pub stuck: bool,
}

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
pub enum NameChange {
    Rename(String, String),
    Remove(String),
}

/// What a power cut would find.
#[derive(Clone, Default)]
pub struct Left {
    pub durable: Image,
    pub pending: Vec<Written>,
    pub names: Vec<NameChange>,
}

impl Left {
    /// All that was synced, any sectors of the rest, and any changes of names.
    pub fn crash(&self, random: &mut Random) -> Image {
        let mut image = self.durable.clone();
        for write in &self.pending {
            let share = random.below(4);
            for (at, sector) in write.bytes.chunks(SECTOR).enumerate() {
                if random.below(3) < share {
                    put(&mut image, &write.file, write.offset + (at * SECTOR) as u64, sector);
                }
            }
        }
        let share = random.below(4);
        for change in &self.names {
            if random.below(3) < share {
                change.apply(&mut image);
            }
        }
        image
    }
}

impl NameChange {
    fn apply(&self, image: &mut Image) {
        match self {
            NameChange::Rename(from, to) => {
                if let Some(bytes) = image.remove(from) {
                    image.insert(to.clone(), bytes);
                }
            }
            NameChange::Remove(name) => drop(image.remove(name)),
        }
    }
}

/// A disk in memory.
#[derive(Clone, Default)]
pub struct MemStorage {
    pub disk: Arc<Mutex<Disk>>,
}

struct MemFile {
    name: String,
    disk: Arc<Mutex<Disk>>,
}

fn broken() -> io::Error {
    io::Error::other("injected failure")
}

fn put(image: &mut Image, name: &str, offset: u64, bytes: &[u8]) {
    let file = image.entry(name.to_owned()).or_default();
    let end = offset as usize + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset as usize..end].copy_from_slice(bytes);
}

impl Disk {
    fn left(&self) -> Left {
        Left { durable: self.durable.clone(), pending: self.pending.clone(), names: self.names.clone() }
    }

    fn is_watched(&self) -> bool {
        self.watched == Some(std::thread::current().id())
    }

    /// In front of an operation of the watched thread.
    fn step(&mut self) -> io::Result<()> {
        match self.is_watched() && self.fails_at == Some(self.steps.len() as u64 + 1) {
            true => {
                // It may be tried again, and then it succeeds.
                self.fails_at = None;
                Err(broken())
            }
            false => Ok(()),
        }
    }

    /// Behind an operation of the watched thread.
    fn stepped(&mut self) {
        if self.is_watched() {
            let left = self.left();
            self.steps.push(left);
        }
    }

    fn file(&self, name: &str) -> &Vec<u8> {
        self.live.get(name).or_else(|| self.removed.get(name)).expect("an open file is there")
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match &mut self.calls_left {
            None => Ok(()),
            Some(0) => Err(broken()),
            Some(left) => {
                *left -= 1;
                if *left == 0 { Err(broken()) } else { Ok(()) }
            }
        }
    }
}

impl MemStorage {
    pub fn of(image: Image) -> MemStorage {
        let disk = Disk { live: image.clone(), durable: image, reserves: true, ..Disk::default() };
        MemStorage { disk: Arc::new(Mutex::new(disk)) }
    }

    /// What a power cut leaves: all that was synced, and any sectors of the rest.
    pub fn crash(&self, random: &mut Random) -> Image {
        self.disk.lock().unwrap().left().crash(random)
    }

    pub fn live(&self) -> Image {
        self.disk.lock().unwrap().live.clone()
    }
}

impl Storage for MemStorage {
    fn open(&self, name: &str, _: Access) -> io::Result<Box<dyn StorageFile>> {
        match self.disk.lock().unwrap().live.contains_key(name) {
            true => Ok(Box::new(MemFile { name: name.to_owned(), disk: Arc::clone(&self.disk) })),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut disk = self.disk.lock().unwrap();
        if disk.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.step()?;
        disk.live.entry(name.to_owned()).or_default();
        disk.durable.entry(name.to_owned()).or_default();
        disk.stepped();
        Ok(Box::new(MemFile { name: name.to_owned(), disk: Arc::clone(&self.disk) }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{directory}/");
        let disk = self.disk.lock().unwrap();
        Ok(disk.live.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let bytes = disk.live.remove(from).ok_or(io::ErrorKind::NotFound)?;
        assert!(disk.live.insert(to.to_owned(), bytes).is_none(), "nothing stands under the new name {to}");
        disk.names.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        disk.stepped();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let bytes = disk.live.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.removed.insert(name.to_owned(), bytes);
        disk.names.push(NameChange::Remove(name.to_owned()));
        disk.stepped();
        Ok(())
    }

    fn sync_directory(&self, _: &str) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let disk = &mut *disk;
        disk.names.drain(..).for_each(|change| change.apply(&mut disk.durable));
        disk.stepped();
        Ok(())
    }
}

impl StorageFile for MemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().unwrap().file(&self.name).len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let disk = self.disk.lock().unwrap();
        let file = disk.file(&self.name);
        let from = offset as usize;
        let bytes = file.get(from..from + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert_eq!((bytes.len() % BLOCK, offset as usize % BLOCK, bytes.as_ptr() as usize % BLOCK), (0, 0, 0));
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        let zeros = bytes.iter().all(|&byte| byte == 0);
        if zeros && disk.stuck {
            return Err(broken());
        }
        let write = Written { file: self.name.clone(), offset, bytes: bytes.to_vec() };
        // A write that fails may have landed all the same.
        disk.pending.push(write.clone());
        if !zeros {
            disk.call()?;
            disk.trace.push(write);
        }
        put(&mut disk.live, &self.name, offset, bytes);
        disk.stepped();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        let disk = &mut *disk;
        disk.step()?;
        if disk.pending.iter().any(|write| write.file == self.name && write.bytes.iter().any(|&byte| byte != 0)) {
            disk.call()?;
        }
        let (mine, others): (Vec<_>, Vec<_>) = disk.pending.drain(..).partition(|write| write.file == self.name);
        mine.iter().for_each(|write| put(&mut disk.durable, &write.file, write.offset, &write.bytes));
        disk.pending = others;
        disk.stepped();
        Ok(())
    }

    fn extend(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        if disk.stuck {
            return Err(broken());
        }
        let size = disk.live[&self.name].len();
        let zeros = vec![0; (bytes as usize).saturating_sub(size)];
        disk.pending.push(Written { file: self.name.clone(), offset: size as u64, bytes: zeros.clone() });
        put(&mut disk.live, &self.name, size as u64, &zeros);
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<bool> {
        let disk = self.disk.lock().unwrap();
        if disk.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(disk.reserves) }
    }
}

/// A small generator (splitmix64), so that a test is its seed.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }
}

/// What a frame of the tests holds: everything follows from its number.
pub fn body(number: u64, bytes_max: u64) -> (Vec<u8>, Vec<u8>, u32) {
    let mut random = Random(number);
    let payload = random.below(bytes_max.max(1)) as usize;
    let vouchers = random.below(200) as usize * (random.below(2) as usize);
    let mut fill = |length: usize| (0..length).map(|_| random.word() as u8).collect::<Vec<u8>>();
    (fill(payload), fill(vouchers), (number % 5) as u32)
}

/// A ledger's directory: lock, manifest and keys on a real file system, its files also as an image.
pub struct Ledger {
    pub folder: tempfile::TempDir,
    pub manifest: LedgerManifest,
}

impl Ledger {
    pub fn new(segment_bytes: u64) -> Ledger {
        let folder = tempfile::tempdir().unwrap();
        let options = LedgerOptions { segment_bytes, created_unix_ns: 1_700_000_000_000_000_000 };
        let manifest = create_ledger(&folder.path().join("data"), &options).unwrap();
        Ledger { folder, manifest }
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub fn image(&self) -> Image {
        let mut image = Image::new();
        for entry in std::fs::read_dir(self.data().join("log")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("log/{}", entry.file_name().into_string().unwrap());
            image.insert(name, std::fs::read(entry.path()).unwrap());
        }
        image.insert("watermark".into(), std::fs::read(self.data().join("watermark")).unwrap());
        image
    }

    pub fn recover_on(&self, storage: &MemStorage) -> Result<(Recovered, Vec<Seen>), RecoverError<String>> {
        self.recover_with(storage, LogOptions::default())
    }

    pub fn recover_with(
        &self,
        storage: &MemStorage,
        options: LogOptions,
    ) -> Result<(Recovered, Vec<Seen>), RecoverError<String>> {
        let lock = DataLock::acquire(&self.data()).unwrap();
        let keys = KeyRing::load(&self.data()).unwrap();
        let mut seen = Vec::new();
        let io = IoReport { mode: WriteMode::Buffered, file_system: "memory".into(), fallback: None };
        let storage = Arc::new(storage.clone());
        let recovered = recover_on(storage, io, self.manifest.clone(), keys, lock, options, &mut |frame| {
            seen.push(Seen::of(&frame));
            Ok(())
        })?;
        Ok((recovered, seen))
    }

    pub fn scan_on(&self, storage: &MemStorage) -> Result<(ScanReport, Vec<Seen>), RecoverError<String>> {
        let keys = KeyRing::load(&self.data()).unwrap();
        let mut seen = Vec::new();
        let io = IoReport { mode: WriteMode::Buffered, file_system: "memory".into(), fallback: None };
        let report = scan_on(storage, io, &self.manifest, &keys, &mut |frame| {
            seen.push(Seen::of(&frame));
            Ok(())
        })?;
        Ok((report, seen))
    }
}

/// A frame as it was given to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub number: u64,
    pub first_sequence: u64,
    pub count: u32,
    pub time_ns: u64,
    /// Payload and vouchers.
    pub body: (Vec<u8>, Vec<u8>),
}

impl Seen {
    pub fn of(frame: &Frame<'_>) -> Seen {
        Seen {
            number: frame.head.number,
            first_sequence: frame.head.first_sequence,
            count: frame.head.count,
            time_ns: frame.head.time_ns,
            body: (frame.payload.to_vec(), frame.vouchers.to_vec()),
        }
    }
}

/// What the frames up to `last` must be.
pub fn expected(last: u64, bytes_max: u64) -> Vec<Seen> {
    let mut first_sequence = 1;
    (1..=last)
        .map(|number| {
            let (payload, vouchers, count) = body(number, bytes_max);
            let seen = Seen { number, first_sequence, count, time_ns: number * 1000, body: (payload, vouchers) };
            first_sequence += u64::from(count);
            seen
        })
        .collect()
}

/// A running log whose durable frames and failures arrive on channels.
pub struct Running {
    pub writer: LogWriter,
    pub reader: LogReader,
    pub durable: mpsc::Receiver<u64>,
    pub failed: Arc<AtomicBool>,
    pub next: (u64, u64),
    pub bytes_max: u64,
}

pub fn start(recovered: Recovered, bytes_max: u64) -> Result<Running, StartError> {
    let report = recovered.report();
    let next = (report.last_frame + 1, report.last_sequence + 1);
    let (send, durable) = mpsc::channel();
    let failed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&failed);
    let gone = send.clone();
    let (writer, reader) = recovered.start(
        Box::new(move |frame, _| {
            let _ = send.send(frame);
        }),
        Box::new(move |_| {
            assert!(!flag.swap(true, Ordering::SeqCst), "a failure is told once");
            let _ = gone.send(u64::MAX);
        }),
    )?;
    Ok(Running { writer, reader, durable, failed, next, bytes_max })
}

impl Running {
    pub fn append(&mut self) -> u64 {
        let number = self.next.0;
        let (payload, vouchers, count) = body(number, self.bytes_max);
        let mut buffer = self.writer.buffer();
        assert!(buffer.payload().is_empty() && buffer.vouchers().is_empty());
        buffer.payload().extend_from_slice(&payload);
        buffer.vouchers().extend_from_slice(&vouchers);
        self.writer.append(number, self.next.1, count, number * 1000, buffer);
        self.next = (number + 1, self.next.1 + u64::from(count));
        number
    }

    /// Waits until a frame is durable; false if the log failed before.
    pub fn await_durable(&self, number: u64) -> bool {
        while self.writer.durable() < number {
            match self.durable.recv() {
                Ok(u64::MAX) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        true
    }

    pub fn append_all(&mut self, frames: u64) {
        for _ in 0..frames {
            let number = self.append();
            assert!(self.await_durable(number));
        }
    }
}
