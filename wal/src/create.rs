//! Makes the files of a new ledger. The manifest comes last, so an interrupted making never looks like a ledger.

use crate::block::Blocks;
use crate::disk::{DiskStorage, IoMode, sync_directory};
use crate::error::CreateError;
use crate::key::{ChainKey, KEY_FOLDER};
use crate::ledger::{LedgerId, LedgerManifest, LedgerOptions, MANIFEST_FILE, segment_bytes_allowed};
use crate::limits::{FILL_CHUNK_BYTES, FIRST_SEGMENT, FORMAT_VERSION};
use crate::lock::LOCK_FILE;
use crate::segments::{LOG_FOLDER, segment_name};
use crate::storage::Storage;
use crate::watermark::{self, WATERMARK_FILE};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes `LOCK`, `keys/chain-1.key`, `watermark`, `log/` with two segments of zeros and at last `ledger.json` in a new
/// or empty directory, and syncs all of it with the directories above.
pub fn create_ledger(data: &Path, options: &LedgerOptions) -> Result<LedgerManifest, CreateError> {
    if !segment_bytes_allowed(options.segment_bytes) {
        return Err(CreateError::SegmentBytes { segment_bytes: options.segment_bytes });
    }
    let at = |file: &Path| {
        let file = file.to_path_buf();
        move |source| CreateError::Io { file, source }
    };
    make_directories(data).map_err(at(data))?;
    if std::fs::read_dir(data).map_err(at(data))?.next().is_some() {
        return Err(CreateError::NotEmpty { data: data.to_path_buf() });
    }
    let manifest = LedgerManifest {
        ledger: LedgerId::random().map_err(at(data))?,
        format: FORMAT_VERSION,
        segment_bytes: options.segment_bytes,
        created_unix_ns: options.created_unix_ns,
    };
    let lock = data.join(LOCK_FILE);
    write_new(&lock, b"", 0o640).map_err(at(&lock))?;
    let keys = data.join(KEY_FOLDER);
    DirBuilder::new().mode(0o700).create(&keys).map_err(at(&keys))?;
    ChainKey::generate(1).map_err(at(&keys))?.create_file(&keys.join("chain-1.key"))?;
    sync_directory(&keys).map_err(at(&keys))?;
    let mark = data.join(WATERMARK_FILE);
    write_new(&mark, watermark::initial(manifest.ledger).bytes(), 0o640).map_err(at(&mark))?;
    let log = data.join(LOG_FOLDER);
    std::fs::create_dir(&log).map_err(at(&log))?;
    let storage = DiskStorage::open(data, IoMode::Auto, WATERMARK_FILE).map_err(at(data))?;
    let zeros = Blocks::new(FILL_CHUNK_BYTES);
    for ordinal in [FIRST_SEGMENT, FIRST_SEGMENT + 1] {
        let name = segment_name(ordinal);
        fill_new(&storage, &name, &zeros, options.segment_bytes).map_err(at(&data.join(&name)))?;
    }
    storage.sync_directory(LOG_FOLDER).map_err(at(&log))?;
    sync_directory(data).map_err(at(data))?;
    // Written aside and renamed: the manifest is there whole or not at all.
    let (json, aside) = (data.join(MANIFEST_FILE), data.join("ledger.json.new"));
    write_new(&aside, manifest.to_text().as_bytes(), 0o640).map_err(at(&aside))?;
    std::fs::rename(&aside, &json).map_err(at(&json))?;
    sync_directory(data).map_err(at(data))?;
    Ok(manifest)
}

/// Makes a directory with those above it, each durable in its parent.
fn make_directories(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !path.is_dir() {
        if !parent.is_dir() {
            make_directories(parent)?;
        }
        DirBuilder::new().mode(0o750).create(path)?;
    }
    sync_directory(parent)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn fill_new(storage: &dyn Storage, name: &str, zeros: &Blocks, bytes: u64) -> io::Result<()> {
    let file = storage.create(name)?;
    file.reserve(bytes)?;
    let mut offset = 0;
    while offset < bytes {
        let take = (bytes - offset).min(zeros.len() as u64);
        file.write_at(&zeros.bytes()[..take as usize], offset)?;
        offset += take;
    }
    file.sync_all()
}
