//! Files of a log in memory. Writes land at once and whole; what a disk does wrong is not the matter here.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use florin_wal::{Access, Storage, StorageFile};

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Files by name.
#[derive(Clone, Default)]
pub struct Memory(Files);

struct MemoryFile {
    name: String,
    files: Files,
}

impl Memory {
    /// Files with these contents.
    pub fn of<const N: usize>(files: [(&str, Vec<u8>); N]) -> Memory {
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        Memory(Arc::new(Mutex::new(files)))
    }

    /// What a file holds.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        self.0.lock().expect("no panic while it is held")[name].clone()
    }
}

impl Storage for Memory {
    fn open(&self, name: &str, _: Access) -> io::Result<Box<dyn StorageFile>> {
        match self.0.lock().expect("no panic while it is held").contains_key(name) {
            true => Ok(Box::new(MemoryFile { name: name.to_owned(), files: Arc::clone(&self.0) })),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.0.lock().expect("no panic while it is held").entry(name.to_owned()).or_default();
        self.open(name, Access::Blocks)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().expect("no panic while it is held");
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().expect("no panic while it is held").remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{directory}/");
        let files = self.0.lock().expect("no panic while it is held");
        Ok(files.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn sync_directory(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl MemoryFile {
    fn with<R>(&self, act: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut files = self.files.lock().expect("no panic while it is held");
        act(files.get_mut(&self.name).expect("nothing that is open is removed here"))
    }
}

impl StorageFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.with(|file| file.len() as u64))
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        self.with(|file| match file.get(from..from + into.len()) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        self.with(|file| {
            file.resize(file.len().max(from + bytes.len()), 0);
            file[from..from + bytes.len()].copy_from_slice(bytes);
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn extend(&self, bytes: u64) -> io::Result<()> {
        self.with(|file| file.resize(file.len().max(bytes as usize), 0));
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<bool> {
        Ok(true)
    }
}
