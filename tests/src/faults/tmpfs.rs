//! A disk that fills up, and grows: a small tmpfs. A server that has no room refuses postings and nothing else, also one that was
//! started like that, and goes on by itself.

use std::path::{Path, PathBuf};

use super::book::Book;
use super::tally::Tally;
use super::{full, machine};

/// Size at first, and what it grows by, in KiB.
const GROWTH_KIB: u64 = 1_024;
/// Bytes of a segment.
const SEGMENT_BYTES: [u64; 3] = [65_536, 131_072, 262_144];

/// A tmpfs, as long as it lives.
pub struct Tmpfs {
    at: PathBuf,
    kib: u64,
}

impl Tmpfs {
    /// Mounts one.
    pub fn mount(folder: &Path) -> Result<Tmpfs, String> {
        machine::root()?;
        let at = folder.join("disk");
        std::fs::create_dir(&at).map_err(|error| error.to_string())?;
        let tmpfs = Tmpfs { at, kib: 2 * GROWTH_KIB };
        let size = format!("size={}k", tmpfs.kib);
        machine::run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", machine::text(&tmpfs.at)])?;
        Ok(tmpfs)
    }

    /// Makes it larger under whatever runs on it.
    pub fn grow(&mut self) {
        self.kib += GROWTH_KIB;
        let options = format!("remount,size={}k", self.kib);
        machine::run("mount", &["-o", &options, machine::text(&self.at)]).expect("more room");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a server that was left behind by a panic may still have files there.
        let _ = machine::run("umount", &["-l", machine::text(&self.at)]);
    }
}

/// A book of full disks.
pub async fn book(folder: &Path, seed: u64, rounds: u64, tally: &Tally) {
    let mut tmpfs = Tmpfs::mount(folder).expect("it was tried before");
    let segment_bytes = SEGMENT_BYTES[seed as usize % SEGMENT_BYTES.len()];
    let mut book = Book::make(tmpfs.at.join("ledger"), folder, segment_bytes, seed, tally).await;
    let way = book.way();
    let mut server = book.serve(way).await;
    book.prepare(&server).await;
    for _ in 0..rounds {
        let mut client = server.connect().await;
        full::until_refused(&mut book, &client).await;
        full::while_refused(&mut book, &client).await;
        full::check_what_it_said(&book.errors());
        if book.rng.chance(40) {
            drop(client);
            server.kill().await;
            book.judge(None);
            let way = book.way();
            server = book.serve(way).await;
            client = server.connect().await;
            full::while_refused(&mut book, &client).await;
            tally.add("starts without room", 1);
        }
        tmpfs.grow();
        full::until_accepted(&mut book, &client).await;
        tally.add("rounds", 1);
    }
    server.stop().await;
    book.judge(None);
    book.close().await;
}
