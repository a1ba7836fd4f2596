//! A file system that forgets as much as it may: after a power cut a file has the content of its
//! last fsync, and a folder the names of its last fsync. Renames happen whole or not at all.
//!
//! Real file systems commit more than they were asked for, so that on them a missing fsync mostly
//! does no harm. Here each one counts. A second variant keeps a part by chance, in any order. A
//! third keeps everything but what one fsync would have kept.

use sha2::{Digest, Sha256};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    rc::Rc,
};

/// Unsynced bytes of a file come through page by page.
const PAGE: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    File { mode: u32, content: Rc<[u8]> },
    Folder { mode: u32, names: BTreeMap<OsString, u64> },
    Link(PathBuf),
}

type Nodes = BTreeMap<u64, Node>;

/// What the disk has for certain of the files below a folder.
pub struct Model {
    root: PathBuf,
    nodes: Nodes,
    reader: Reader,
}

/// What a disk has after a power cut.
#[derive(Clone)]
pub struct Image {
    root: u64,
    nodes: Nodes,
}

/// What one fsync that was left out would have kept of one file or folder.
#[derive(Clone)]
pub struct Unsynced {
    number: u64,
    durable: Node,
    then: Node,
}

/// What comes through besides what was synced.
pub enum Through<'a> {
    Nothing,
    Everything,
    /// A part, in any order.
    Luck(&'a mut dyn FnMut() -> bool),
    /// Everything but the files and folders of these, of which there is what was synced.
    AllBut(&'a [Unsynced]),
    /// Everything but exactly what each of these would have kept; what came later is there.
    AllButThen(&'a [Unsynced]),
}

impl Model {
    /// Everything that is there now is on the disk.
    pub fn new(root: &Path) -> io::Result<Self> {
        let reader = Reader::default();
        Ok(Self { root: root.into(), nodes: reader.read(root)?, reader })
    }

    /// A file or folder is synced, as it is now.
    pub fn sync(&mut self, path: &Path) -> io::Result<()> {
        let found = fs::metadata(path)?;
        // The path may be a link in /proc: the number tells whether it is ours.
        let now = self.reader.read(&self.root)?;
        let Some(node) = now.get(&found.ino()) else { return Ok(()) };
        if let (Node::Folder { names: new, .. }, Some(Node::Folder { names: old, .. })) =
            (node, self.nodes.get(&found.ino()))
        {
            let left: Vec<u64> =
                old.values().filter(|it| !new.values().any(|new| new == *it)).copied().collect();
            left.into_iter().for_each(|number| self.keep_whole(number, &now));
        }
        for number in children(node) {
            self.create(number, &now);
        }
        self.nodes.insert(found.ino(), node.clone());
        Ok(())
    }

    /// Everything is synced.
    pub fn sync_all(&mut self) -> io::Result<()> {
        self.nodes = self.reader.read(&self.root)?;
        Ok(())
    }

    /// What a sync of a file or folder would keep now; nothing where all of it is on the disk.
    pub fn unsynced(&self, path: &Path) -> io::Result<Option<Unsynced>> {
        let number = fs::metadata(path)?.ino();
        let now = self.reader.read(&self.root)?;
        Ok(now.get(&number).and_then(|then| self.difference(number, then)))
    }

    /// What a sync of everything would keep now.
    pub fn all_unsynced(&self) -> io::Result<Vec<Unsynced>> {
        let now = self.reader.read(&self.root)?;
        Ok(now.iter().filter_map(|(number, then)| self.difference(*number, then)).collect())
    }

    fn difference(&self, number: u64, then: &Node) -> Option<Unsynced> {
        let durable = self.nodes.get(&number).cloned().unwrap_or_else(|| then.empty());
        (durable != *then).then(|| Unsynced { number, durable, then: then.clone() })
    }

    /// What was renamed out of a folder that is synced has its new name for certain.
    fn keep_whole(&mut self, number: u64, now: &Nodes) {
        let places: Vec<(u64, OsString)> = now
            .iter()
            .filter_map(|(folder, node)| match node {
                Node::Folder { names, .. } => Some((folder, names)),
                _ => None,
            })
            .flat_map(|(folder, names)| {
                let same = names.iter().filter(|(_, it)| **it == number);
                same.map(|(name, _)| (*folder, name.clone()))
            })
            .collect();
        for (folder, name) in places {
            if !self.nodes.contains_key(&folder) {
                self.create(folder, now);
                self.keep_whole(folder, now);
            }
            if let Some(Node::Folder { names, .. }) = self.nodes.get_mut(&folder) {
                names.insert(name, number);
            }
        }
    }

    /// Something new has a name on the disk, and nothing in it.
    fn create(&mut self, number: u64, now: &Nodes) {
        if self.nodes.contains_key(&number) {
            return;
        }
        if let Some(node) = now.get(&number) {
            self.nodes.insert(number, node.empty());
        }
    }

    /// What is there after a power cut.
    pub fn image(&self, through: Through<'_>) -> io::Result<Image> {
        let root = fs::metadata(&self.root)?.ino();
        let nodes = match through {
            Through::Nothing => self.nodes.clone(),
            Through::Everything => self.reader.read(&self.root)?,
            Through::Luck(luck) => self.with(&mut Lucky(luck))?,
            Through::AllBut(lost) => self.with(&mut Losing { lost, when: When::Ever })?,
            Through::AllButThen(lost) => self.with(&mut Losing { lost, when: When::Then })?,
        };
        Ok(Image { root, nodes })
    }

    fn with(&self, choice: &mut dyn Choice) -> io::Result<Nodes> {
        let now = self.reader.read(&self.root)?;
        // The same code does for names that come through what it does for names that are synced.
        let (root, reader) = (self.root.clone(), Reader::default());
        let mut more = Self { root, nodes: self.nodes.clone(), reader };
        // Folders first: what has a name only by them is known from then on.
        let mut waiting: Vec<u64> = now.keys().copied().collect();
        let mut done = 0;
        while done != waiting.len() {
            done = waiting.len();
            waiting.retain(|number| !more.come_through(*number, &now, choice));
        }
        Ok(more.nodes)
    }

    /// Adds what comes through of one file or folder; not yet, where nothing has its name.
    fn come_through(&mut self, number: u64, now: &Nodes, choice: &mut dyn Choice) -> bool {
        match (&now[&number], self.nodes.get(&number).cloned()) {
            (_, None) => return false,
            (Node::Folder { mode, names: new }, Some(Node::Folder { names: old, .. })) => {
                let mut names = old.clone();
                for name in old.keys().chain(new.keys()) {
                    let change = Change { folder: number, old: old.get(name), new: new.get(name) };
                    if change.old == change.new || !choice.name(name, &change) {
                        continue;
                    }
                    match new.get(name) {
                        Some(child) => {
                            self.create(*child, now);
                            names.insert(name.clone(), *child);
                        }
                        None => {
                            names.remove(name);
                            self.keep_whole(old[name], now);
                        }
                    }
                }
                // What `keep_whole` has just put there stays.
                if let Some(Node::Folder { names: kept, .. }) = self.nodes.get(&number) {
                    let added = kept.iter().filter(|(name, _)| !old.contains_key(*name));
                    names.extend(added.map(|(name, child)| (name.clone(), *child)));
                }
                self.nodes.insert(number, Node::Folder { mode: *mode, names });
            }
            (Node::File { mode, content: new }, Some(Node::File { content: old, .. }))
                if *new != old =>
            {
                if let Some(content) = choice.content(number, &old, new) {
                    self.nodes.insert(number, Node::File { mode: *mode, content });
                }
            }
            _ => {}
        }
        true
    }
}

/// What a name in a folder stood for when that was synced, and what it stands for.
struct Change<'a> {
    folder: u64,
    old: Option<&'a u64>,
    new: Option<&'a u64>,
}

/// Says what of the changes that were not synced comes through.
trait Choice {
    /// Whether a name in a folder is what it is now.
    fn name(&mut self, name: &OsStr, change: &Change<'_>) -> bool;
    /// What is in a file; nothing where it is what was synced.
    fn content(&mut self, file: u64, old: &Rc<[u8]>, new: &Rc<[u8]>) -> Option<Rc<[u8]>>;
}

struct Lucky<'a>(&'a mut dyn FnMut() -> bool);

impl Choice for Lucky<'_> {
    fn name(&mut self, _: &OsStr, _: &Change<'_>) -> bool {
        (self.0)()
    }

    fn content(&mut self, _: u64, old: &Rc<[u8]>, new: &Rc<[u8]>) -> Option<Rc<[u8]>> {
        if !(self.0)() {
            return None;
        }
        if (self.0)() {
            return Some(new.clone());
        }
        let length = if (self.0)() { new.len() } else { old.len() };
        Some(paged(length, |_| if (self.0)() { new } else { old }))
    }
}

/// Which changes of what was not synced are lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Ever,
    /// Those that the sync would have kept.
    Then,
}

struct Losing<'a> {
    lost: &'a [Unsynced],
    when: When,
}

impl Losing<'_> {
    fn find(&self, number: u64) -> Option<&Unsynced> {
        self.lost.iter().find(|it| it.number == number)
    }

    /// Whether that something has come into a folder is lost.
    fn loses_arrival(&self, number: u64) -> bool {
        let comes = |names: &BTreeMap<OsString, u64>| names.values().any(|it| *it == number);
        self.lost.iter().any(|lost| match (&lost.durable, &lost.then) {
            (Node::Folder { names: durable, .. }, Node::Folder { names: then, .. }) => {
                comes(then) && !comes(durable)
            }
            _ => false,
        })
    }
}

impl Choice for Losing<'_> {
    fn name(&mut self, name: &OsStr, change: &Change<'_>) -> bool {
        // A rename that is lost is so at both of its ends.
        if change.new.is_none() && change.old.is_some_and(|it| self.loses_arrival(*it)) {
            return false;
        }
        let Some(lost) = self.find(change.folder) else { return true };
        let (Node::Folder { names: durable, .. }, Node::Folder { names: then, .. }) =
            (&lost.durable, &lost.then)
        else {
            return true;
        };
        let unchanged_since = then.get(name) == change.new && durable.get(name) != change.new;
        self.when == When::Then && !unchanged_since
    }

    fn content(&mut self, file: u64, old: &Rc<[u8]>, new: &Rc<[u8]>) -> Option<Rc<[u8]>> {
        let Some(lost) = self.find(file) else { return Some(new.clone()) };
        let Node::File { content: then, .. } = &lost.then else { return Some(new.clone()) };
        if self.when == When::Ever {
            return None;
        }
        let differ = |one: &[u8], other: &[u8], at| page(one, at) != page(other, at);
        Some(paged(new.len(), |at| {
            let is_lost = differ(old, then, at) && !differ(new, then, at);
            if is_lost { old } else { new }
        }))
    }
}

/// Page by page the content that is picked.
fn paged<'a>(length: usize, mut pick: impl FnMut(usize) -> &'a Rc<[u8]>) -> Rc<[u8]> {
    let mut content = vec![0; length];
    for (at, target) in content.chunks_mut(PAGE).enumerate() {
        let source = page(pick(at), at);
        let count = source.len().min(target.len());
        target[..count].copy_from_slice(&source[..count]);
    }
    content.into()
}

fn page(content: &[u8], at: usize) -> &[u8] {
    let rest = content.get(at * PAGE..).unwrap_or_default();
    &rest[..rest.len().min(PAGE)]
}

impl Node {
    /// As it is when only its name is on the disk.
    fn empty(&self) -> Self {
        match self {
            Self::File { mode, .. } => Self::File { mode: *mode, content: Rc::from([]) },
            Self::Folder { mode, .. } => Self::Folder { mode: *mode, names: BTreeMap::new() },
            link @ Self::Link(_) => link.clone(),
        }
    }
}

impl Image {
    /// Makes it the content of a folder, in place of what is there.
    pub fn lay_out(&self, target: &Path) -> io::Result<()> {
        if target.exists() {
            fs::remove_dir_all(target)?;
        }
        lay_out(&self.nodes, self.root, target, &mut BTreeMap::new())
    }

    /// Two images with the same key are the same to whoever reads them.
    pub fn key(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        self.hash(self.root, &mut hasher);
        hasher.finalize().to_vec()
    }

    fn hash(&self, number: u64, hasher: &mut Sha256) {
        // Second names of one file are not the same as two files.
        hasher.update(number.to_le_bytes());
        match self.nodes.get(&number) {
            None => hasher.update([0]),
            Some(Node::Link(to)) => hasher.update(to.as_os_str().as_bytes()),
            Some(Node::File { mode, content }) => {
                hasher.update(mode.to_le_bytes());
                hasher.update(content.len().to_le_bytes());
                hasher.update(content);
            }
            Some(Node::Folder { mode, names }) => {
                hasher.update(mode.to_le_bytes());
                for (name, child) in names {
                    hasher.update(name.as_bytes());
                    hasher.update([0]);
                    self.hash(*child, hasher);
                }
            }
        }
    }
}

fn children(node: &Node) -> Vec<u64> {
    match node {
        Node::Folder { names, .. } => names.values().copied().collect(),
        _ => Vec::new(),
    }
}

/// Reads folders; files that have not changed share their content.
#[derive(Default)]
struct Reader {
    known: RefCell<HashMap<u64, Rc<[u8]>>>,
}

impl Reader {
    fn content(&self, path: &Path, number: u64) -> io::Result<Rc<[u8]>> {
        let bytes = fs::read(path)?;
        let mut known = self.known.borrow_mut();
        match known.get(&number) {
            Some(same) if **same == *bytes => Ok(same.clone()),
            _ => {
                let content: Rc<[u8]> = bytes.into();
                known.insert(number, content.clone());
                Ok(content)
            }
        }
    }

    fn read(&self, root: &Path) -> io::Result<Nodes> {
        let mut nodes = Nodes::new();
        for entry in walkdir::WalkDir::new(root) {
            let entry = entry?;
            let found = entry.metadata()?;
            let mode = found.mode() & 0o7777;
            let node = if entry.path_is_symlink() {
                Node::Link(fs::read_link(entry.path())?)
            } else if found.is_dir() {
                let mut names = BTreeMap::new();
                for child in fs::read_dir(entry.path())? {
                    let child = child?;
                    names.insert(child.file_name(), child.metadata()?.ino());
                }
                Node::Folder { mode, names }
            } else {
                Node::File { mode, content: self.content(entry.path(), found.ino())? }
            };
            nodes.insert(found.ino(), node);
        }
        Ok(nodes)
    }
}

fn lay_out(
    nodes: &Nodes,
    number: u64,
    target: &Path,
    laid: &mut BTreeMap<u64, PathBuf>,
) -> io::Result<()> {
    if let Some(first) = laid.get(&number) {
        return fs::hard_link(first, target);
    }
    match nodes.get(&number) {
        None => Ok(()),
        Some(Node::Link(to)) => {
            laid.insert(number, target.into());
            std::os::unix::fs::symlink(to, target)
        }
        Some(Node::File { mode, content }) => {
            laid.insert(number, target.into());
            fs::write(target, content)?;
            fs::set_permissions(target, fs::Permissions::from_mode(*mode))
        }
        Some(Node::Folder { mode, names }) => {
            fs::create_dir_all(target)?;
            for (name, child) in names {
                lay_out(nodes, *child, &target.join(name), laid)?;
            }
            fs::set_permissions(target, fs::Permissions::from_mode(*mode))
        }
    }
}
