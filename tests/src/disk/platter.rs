//! The medium: for each block what is durable and which versions were written since, for each file its name and sizes. A
//! power cut leaves, in every sector on its own, the durable bytes or those of any version since: unsynced writes land in
//! any subset and order. A sync makes the version that it covers durable and forgets older ones, which a disk never
//! brings back. Names of files are durable only once their folder was synced: until then a cut may leave each new name, change of a name
//! and removal, or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Event, Image, Name};
use super::{BLOCK, SECTOR};
use crate::rng::Rng;

/// What a cut does to all that is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing of it lands.
    Nothing,
    /// All of it lands, names included.
    All,
    /// All contents land, names that are not durable are lost.
    Nameless,
    /// Any sectors land, each with a chance that is drawn for its file; some are torn.
    Any,
    /// All sectors but one land.
    AllButOne,
    /// One sector lands.
    One,
}

/// A block as it was written through a handle.
#[derive(Clone, Debug)]
struct Version {
    handle: u64,
    bytes: Arc<[u8]>,
    at: usize,
}

impl Version {
    fn block(&self) -> &[u8] {
        &self.bytes[self.at..self.at + BLOCK]
    }
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Arc<Vec<u8>>,
    named: bool,
    /// Lengths that are not durable yet, ascending, with the handle that set each.
    sizes: Vec<(u64, u64)>,
    /// Versions since the durable one, oldest first, by number of the block.
    blocks: BTreeMap<u64, Vec<Version>>,
}

/// All files of a ledger on one medium.
#[derive(Clone, Debug, Default)]
pub struct Platter {
    /// By the names that are durable, or were given when the file was made.
    files: BTreeMap<Name, File>,
    /// Renamed or removed since the folder was synced, in order: what a file is called now, if anything.
    changes: Vec<(Name, Option<Name>)>,
}

impl Platter {
    /// A medium on which all of an image is durable.
    pub fn of(image: &Image) -> Platter {
        let file = |bytes: &Arc<Vec<u8>>| File { durable: Arc::clone(bytes), named: true, ..File::default() };
        Platter {
            files: image.iter().map(|(name, bytes)| (Arc::clone(name), file(bytes))).collect(),
            changes: Vec::new(),
        }
    }

    /// Does one operation.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Create { file } => drop(self.files.entry(Arc::clone(file)).or_default()),
            Event::Write { file, handle, offset, bytes } => {
                let file = self.files.get_mut(file).expect("a file is made before it is written");
                let end = offset + bytes.len() as u64;
                if end > file.size() {
                    file.sizes.push((*handle, end));
                }
                for at in (0..bytes.len()).step_by(BLOCK) {
                    let versions = file.blocks.entry((*offset + at as u64) / BLOCK as u64).or_default();
                    versions.push(Version { handle: *handle, bytes: Arc::clone(bytes), at });
                }
            }
            Event::Extend { file, handle, bytes } => {
                let file = self.files.get_mut(file).expect("a file is made before it is extended");
                if *bytes > file.size() {
                    file.sizes.push((*handle, *bytes));
                }
            }
            Event::Sync { file, handle } => self.file(file).sync(|of| of == *handle),
            Event::SyncAll { file } => self.file(file).sync(|_| true),
            Event::Rename { file, to } => self.changes.push((Arc::clone(file), Some(Arc::clone(to)))),
            Event::Remove { file } => self.changes.push((Arc::clone(file), None)),
            Event::SyncDirectory => {
                for change in std::mem::take(&mut self.changes) {
                    change_name(&mut self.files, &change);
                }
                self.files.values_mut().for_each(|file| file.named = true);
            }
            Event::Appended(_) | Event::Acknowledged(_) | Event::Served(_) => {}
        }
    }

    fn file(&mut self, name: &Name) -> &mut File {
        self.files.get_mut(name).expect("a file is made before it is synced")
    }

    /// A write that a kill stopped behind its first `blocks` blocks, at the edge of a page.
    pub fn apply_part(&mut self, event: &Event, blocks: usize) {
        let Event::Write { file, handle, offset, bytes } = event else { panic!("only a write is done in part") };
        let part = &bytes[..blocks * BLOCK];
        if !part.is_empty() {
            self.apply(&Event::Write { file: Arc::clone(file), handle: *handle, offset: *offset, bytes: part.into() });
        }
    }

    /// Whether a cut can leave only one thing.
    pub fn is_settled(&self) -> bool {
        self.changes.is_empty()
            && self.files.values().all(|file| file.named && file.sizes.is_empty() && file.blocks.is_empty())
    }

    /// What processes see as long as the power stays: the last version of all.
    pub fn live(&self) -> Image {
        let live = |file: &File| match file.is_settled() {
            true => Arc::clone(&file.durable),
            false => Arc::new(file.left(&mut |_, _, versions| versions, file.size())),
        };
        let mut image = self.files.iter().map(|(name, file)| (Arc::clone(name), live(file))).collect();
        self.changes.iter().for_each(|change| change_name(&mut image, change));
        image
    }

    /// What a power cut leaves.
    pub fn cut(&self, damage: Damage, rng: &mut Rng) -> Image {
        let sectors: usize = self.files.values().map(|file| file.blocks.len() * BLOCK / SECTOR).sum();
        let special = rng.below(sectors.max(1));
        let (mut image, mut number) = (Image::new(), 0);
        for (name, file) in &self.files {
            if !file.named && is_lost(damage, rng) {
                number += file.blocks.len() * BLOCK / SECTOR;
                continue;
            }
            if file.is_settled() {
                image.insert(Arc::clone(name), Arc::clone(&file.durable));
                continue;
            }
            let size = file.size_left(damage, rng);
            let share = rng.pick(&[1, 10, 50, 90, 99]);
            let mut bytes = file.left(
                &mut |_, _, versions| {
                    number += 1;
                    let lands = match damage {
                        Damage::Nothing => false,
                        Damage::All | Damage::Nameless => true,
                        Damage::AllButOne => number != special + 1,
                        Damage::One => number == special + 1,
                        Damage::Any => rng.chance(share),
                    };
                    match lands {
                        false => 0,
                        true if damage == Damage::Any => 1 + rng.below(versions),
                        true => versions,
                    }
                },
                size,
            );
            if damage == Damage::Any && rng.chance(30) {
                file.tear(&mut bytes, rng);
            }
            image.insert(Arc::clone(name), Arc::new(bytes));
        }
        for change in &self.changes {
            if !is_lost(damage, rng) {
                change_name(&mut image, change);
            }
        }
        image
    }
}

/// Renames or removes; nothing if the file is not there.
fn change_name<T>(files: &mut BTreeMap<Name, T>, (name, to): &(Name, Option<Name>)) {
    if let (Some(file), Some(to)) = (files.remove(name), to) {
        files.insert(Arc::clone(to), file);
    }
}

/// Whether a name, or a change of one, that is not durable is lost.
fn is_lost(damage: Damage, rng: &mut Rng) -> bool {
    match damage {
        Damage::Nothing | Damage::Nameless => true,
        Damage::All => false,
        Damage::Any | Damage::AllButOne | Damage::One => rng.chance(50),
    }
}

impl File {
    fn size(&self) -> u64 {
        self.sizes.last().map_or(self.durable.len() as u64, |&(_, size)| size)
    }

    fn is_settled(&self) -> bool {
        self.sizes.is_empty() && self.blocks.is_empty()
    }

    fn sync(&mut self, covers: impl Fn(u64) -> bool) {
        let last = self.sizes.iter().rposition(|&(handle, _)| covers(handle));
        let size = last.map_or(0, |last| self.sizes.drain(..=last).next_back().map_or(0, |(_, size)| size));
        let grows = size > self.durable.len() as u64;
        if grows || self.blocks.values().flatten().any(|version| covers(version.handle)) {
            let durable = Arc::make_mut(&mut self.durable);
            durable.resize(durable.len().max(size as usize), 0);
            for (&block, versions) in &mut self.blocks {
                let Some(last) = versions.iter().rposition(|version| covers(version.handle)) else { continue };
                let (from, to) = (block as usize * BLOCK, (block as usize + 1) * BLOCK);
                durable.resize(durable.len().max(to), 0);
                durable[from..to].copy_from_slice(versions[last].block());
                versions.drain(..=last);
            }
            self.blocks.retain(|_, versions| !versions.is_empty());
        }
        let reached = self.durable.len() as u64;
        self.sizes.retain(|&(_, size)| size > reached);
    }

    /// The bytes left if `choose` picks for each unsynced sector (its block, its number in it, how many versions there are)
    /// which version it has: 0 is the durable one.
    fn left(&self, choose: &mut dyn FnMut(u64, usize, usize) -> usize, size: u64) -> Vec<u8> {
        let mut bytes = self.durable.to_vec();
        bytes.resize(self.size() as usize, 0);
        for (&block, versions) in &self.blocks {
            for sector in 0..BLOCK / SECTOR {
                let Some(chosen) = choose(block, sector, versions.len()).checked_sub(1) else { continue };
                let (at, from) = (block as usize * BLOCK + sector * SECTOR, sector * SECTOR);
                bytes[at..at + SECTOR].copy_from_slice(&versions[chosen].block()[from..from + SECTOR]);
            }
        }
        bytes.truncate(size as usize);
        bytes
    }

    /// Tears one unsynced sector: its start is of one version and its end of another, in either order.
    fn tear(&self, bytes: &mut [u8], rng: &mut Rng) {
        if self.blocks.is_empty() {
            return;
        }
        let (&block, versions) = self.blocks.iter().nth(rng.below(self.blocks.len())).expect("below their number");
        let (sector, middle) = (rng.below(BLOCK / SECTOR), rng.between(1, SECTOR - 1));
        let part = if rng.chance(50) { 0..middle } else { middle..SECTOR };
        let from = sector * SECTOR + part.start;
        let at = block as usize * BLOCK + from;
        if let Some(into) = bytes.get_mut(at..at + part.len()) {
            into.copy_from_slice(&versions[rng.below(versions.len())].block()[from..from + part.len()]);
        }
    }

    fn size_left(&self, damage: Damage, rng: &mut Rng) -> u64 {
        let (durable, size) = (self.durable.len() as u64, self.size());
        match damage {
            Damage::Nothing => durable,
            Damage::All | Damage::Nameless => size,
            _ => match rng.below(3) {
                0 => durable,
                1 => size,
                _ => durable + rng.below(((size - durable) as usize / SECTOR) + 1) as u64 * SECTOR as u64,
            },
        }
    }
}
