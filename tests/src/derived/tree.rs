//! Folders and files on a medium: of each folder the names that are durable and what was done to them since, of each file the bytes that
//! are durable and those that were written behind them. A power cut leaves of all that is not synced any part: each change of a name is
//! there or not, whatever became of the others (a rename is one change), and of a file any of its sectors and any length between the two.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::disk::SECTOR;
use crate::rng::Rng;

/// The data directory, whose name is durable.
pub const DATA: &str = "/data";
const ROOT: u64 = 0;

/// What a power cut takes of what is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    Everything,
    /// Nothing.
    Nothing,
    /// Names; contents land.
    Names,
    /// Contents; names land, and so do the lengths of files.
    Contents,
    /// One sector of each file.
    Sector,
    /// Any part.
    Any,
}

/// What names of a folder became, at once: of nothing, if they are gone.
type Change = Vec<(String, Option<u64>)>;

#[derive(Clone, Debug, Default, Hash)]
struct Folder {
    durable: BTreeMap<String, u64>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug, Default, Hash)]
struct File {
    durable: Vec<u8>,
    /// What is read: the durable bytes, and what was written behind them.
    live: Vec<u8>,
    /// A sync failed: the system forgot what was to be written, and a later one says that all is well.
    forgotten: bool,
}

#[derive(Clone, Debug, Hash)]
enum Node {
    Folder(Folder),
    File(Arc<File>),
}

/// All of a medium. Copying one copies no contents.
#[derive(Clone, Debug, Hash)]
pub struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

impl Default for Tree {
    /// An empty data directory.
    fn default() -> Tree {
        let mut tree = Tree { nodes: BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]), next: ROOT + 1 };
        tree.make_folder(Path::new(DATA)).expect("there is nothing yet");
        tree.sync_folder(Path::new("/")).expect("the root is there");
        tree
    }
}

impl Tree {
    /// The file or folder of a path.
    pub fn find(&self, path: &Path) -> io::Result<u64> {
        path.components().filter(|part| *part != Component::RootDir).try_fold(ROOT, |at, part| {
            let name = part.as_os_str().to_str().expect("names are UTF-8 here");
            self.folder(at)?.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn folder(&self, number: u64) -> io::Result<&Folder> {
        match &self.nodes[&number] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&self, number: u64) -> io::Result<&File> {
        match &self.nodes[&number] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn file_mut(&mut self, number: u64) -> &mut File {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Arc::make_mut(file),
            other => panic!("only files are written: {other:?}"),
        }
    }

    /// The folder that a path is in, and its name there.
    fn place(&self, path: &Path) -> io::Result<(u64, String)> {
        let folder = self.find(path.parent().expect("not the root"))?;
        self.folder(folder)?;
        Ok((folder, path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8 here").into()))
    }

    fn change(&mut self, folder: u64, change: Change) {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder(folder)) => folder.changes.push(change),
            other => panic!("only folders have names: {other:?}"),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<u64> {
        let (folder, name) = self.place(path)?;
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.change(folder, vec![(name, Some(number))]);
        Ok(number)
    }

    /// Makes a folder where there is nothing.
    pub fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.add(path, Node::Folder(Folder::default())).map(drop)
            }
            found => found.and(Err(io::ErrorKind::AlreadyExists.into())),
        }
    }

    /// Makes a file. One that is there is replaced: of both a cut leaves one.
    pub fn create(&mut self, path: &Path) -> io::Result<u64> {
        self.add(path, Node::File(Arc::default()))
    }

    /// Writes behind what is in a file.
    pub fn append(&mut self, number: u64, bytes: &[u8]) {
        self.file_mut(number).live.extend_from_slice(bytes);
    }

    /// Makes a file's contents durable, unless an earlier failure has forgotten them.
    pub fn sync(&mut self, number: u64) {
        let file = self.file_mut(number);
        if !file.forgotten {
            file.durable.clone_from(&file.live);
        }
    }

    /// A sync that fails.
    pub fn forget(&mut self, number: u64) {
        self.file_mut(number).forgotten = true;
    }

    /// What is read of a file.
    pub fn contents(&self, number: u64) -> io::Result<&[u8]> {
        Ok(&self.file(number)?.live)
    }

    /// Renames within a folder.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.find(from)?;
        let ((folder, from), (same, to)) = (self.place(from)?, self.place(to)?);
        assert_eq!(folder, same, "nothing moves to another folder");
        self.change(folder, vec![(from, None), (to, Some(number))]);
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(self.find(path)?)?;
        let (folder, name) = self.place(path)?;
        self.change(folder, vec![(name, None)]);
        Ok(())
    }

    /// Removes an empty folder.
    pub fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        if !self.folder(self.find(path)?)?.live().is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (folder, name) = self.place(path)?;
        self.change(folder, vec![(name, None)]);
        Ok(())
    }

    /// Names in a folder.
    pub fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Ok(self.folder(self.find(path)?)?.live().into_keys().collect())
    }

    /// Makes the names in a folder durable.
    pub fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        let number = self.find(path)?;
        let durable = self.folder(number)?.live();
        self.nodes.insert(number, Node::Folder(Folder { durable, changes: Vec::new() }));
        Ok(())
    }

    /// Changes a bit of a file, on the medium and where it is read.
    pub fn rot(&mut self, path: &Path, at: usize, bit: u8) {
        let number = self.find(path).expect("a file that is there");
        let file = self.file_mut(number);
        for byte in [&mut file.durable, &mut file.live].into_iter().filter_map(|bytes| bytes.get_mut(at)) {
            *byte ^= 1 << bit;
        }
    }

    /// All files that processes see, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let mut files = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, number)) = open.pop() {
            match &self.nodes[&number] {
                Node::Folder(folder) => open.extend(folder.live().into_iter().map(|(name, at)| (path.join(name), at))),
                Node::File(file) => files.push((path, file.live.len())),
            }
        }
        files.sort();
        files
    }

    /// Whether a cut can leave only one thing.
    pub fn is_settled(&self) -> bool {
        let mut open = vec![ROOT];
        while let Some(number) = open.pop() {
            match &self.nodes[&number] {
                Node::Folder(folder) if folder.changes.is_empty() => open.extend(folder.durable.values()),
                Node::File(file) if file.durable == file.live => {}
                _ => return false,
            }
        }
        true
    }

    /// What a power cut leaves.
    pub fn cut(&self, loss: Loss, rng: &mut Rng) -> Tree {
        let mut left = Tree { nodes: BTreeMap::new(), next: self.next };
        let mut open = vec![ROOT];
        while let Some(number) = open.pop() {
            let node = match &self.nodes[&number] {
                Node::Folder(folder) => {
                    let folder = folder.cut(loss, rng);
                    open.extend(folder.durable.values());
                    Node::Folder(folder)
                }
                Node::File(file) if file.durable == file.live => Node::File(Arc::clone(file)),
                Node::File(file) => Node::File(Arc::new(file.cut(loss, rng))),
            };
            left.nodes.insert(number, node);
        }
        left
    }

    /// Another for each state, as good as certainly.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.nodes.hash(&mut hasher);
        hasher.finish()
    }
}

impl Folder {
    fn get(&self, name: &str) -> Option<u64> {
        let changed = self.changes.iter().rev().flat_map(|change| change.iter().rev()).find(|(of, _)| of == name);
        changed.map_or_else(|| self.durable.get(name).copied(), |(_, number)| *number)
    }

    fn live(&self) -> BTreeMap<String, u64> {
        self.after(|| true)
    }

    fn after(&self, mut lands: impl FnMut() -> bool) -> BTreeMap<String, u64> {
        let mut names = self.durable.clone();
        for (name, number) in self.changes.iter().filter(|_| lands()).flatten() {
            match number {
                Some(number) => names.insert(name.clone(), *number),
                None => names.remove(name),
            };
        }
        names
    }

    fn cut(&self, loss: Loss, rng: &mut Rng) -> Folder {
        let durable = self.after(|| match loss {
            Loss::Everything | Loss::Names => false,
            Loss::Nothing | Loss::Contents | Loss::Sector => true,
            Loss::Any => rng.chance(50),
        });
        Folder { durable, changes: Vec::new() }
    }
}

impl File {
    fn cut(&self, loss: Loss, rng: &mut Rng) -> File {
        let (durable, live) = (self.durable.len(), self.live.len());
        let length = match loss {
            Loss::Everything => durable,
            Loss::Any => match rng.below(4) {
                0 => durable,
                1 => live,
                2 => durable + rng.below((live - durable) / SECTOR + 1) * SECTOR,
                _ => rng.between(durable, live),
            },
            _ => live,
        };
        let mut left = self.durable.clone();
        left.resize(live, 0);
        // The first of them may be durable in part.
        let sectors = durable / SECTOR..live.div_ceil(SECTOR);
        let special = sectors.start + rng.below(sectors.len().max(1));
        let share = rng.pick(&[1, 50, 90, 99]);
        for sector in sectors {
            let lands = match loss {
                Loss::Everything | Loss::Contents => false,
                Loss::Nothing | Loss::Names => true,
                Loss::Sector => sector != special,
                Loss::Any => rng.chance(share),
            };
            let (mut from, mut upto) = (sector * SECTOR, live.min((sector + 1) * SECTOR));
            // Torn: only its start or its end landed.
            if lands && loss == Loss::Any && rng.chance(10) {
                let middle = rng.between(from, upto);
                if rng.chance(50) { from = middle } else { upto = middle }
            }
            if lands {
                left[from..upto].copy_from_slice(&self.live[from..upto]);
            }
        }
        left.truncate(length);
        File { durable: left.clone(), live: left, forgotten: false }
    }
}
