//! A file system that forgets as much as it may: after a power cut a file has the content of its
//! last fsync, and a folder the names of its last fsync. Renames happen whole or not at all.
//!
//! Real file systems commit more than they were asked for, so that on them a missing fsync mostly
//! does no harm. Here each one counts. A second variant keeps a part by chance, in any order.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Unsynced bytes of a file come through page by page.
const PAGE: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    File { mode: u32, content: Vec<u8> },
    Folder { mode: u32, names: BTreeMap<OsString, u64> },
    Link(PathBuf),
}

type Nodes = BTreeMap<u64, Node>;

/// What the disk has for certain of the files below a folder.
pub struct Model {
    root: PathBuf,
    nodes: Nodes,
}

impl Model {
    /// Everything that is there now is on the disk.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.into(), nodes: read(root)? })
    }

    /// A file or folder is synced, as it is now.
    pub fn sync(&mut self, path: &Path) -> io::Result<()> {
        let found = fs::metadata(path)?;
        // The path may be a link in /proc: the number tells whether it is ours.
        let now = read(&self.root)?;
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
        self.nodes = read(&self.root)?;
        Ok(())
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
        let node = match now.get(&number) {
            Some(Node::File { mode, .. }) => Node::File { mode: *mode, content: Vec::new() },
            Some(Node::Folder { mode, .. }) => Node::Folder { mode: *mode, names: BTreeMap::new() },
            Some(link @ Node::Link(_)) => link.clone(),
            None => return,
        };
        self.nodes.insert(number, node);
    }

    /// Lays out what is there after a power cut. With `luck`, some of what was not synced is there
    /// as well.
    pub fn cut(&self, target: &Path, luck: Option<&mut dyn FnMut() -> bool>) -> io::Result<()> {
        let root = fs::metadata(&self.root)?.ino();
        let mut nodes = self.nodes.clone();
        if let Some(luck) = luck {
            self.add_by_chance(&mut nodes, luck)?;
        }
        if target.exists() {
            fs::remove_dir_all(target)?;
        }
        lay_out(&nodes, root, target, &mut BTreeMap::new())
    }

    fn add_by_chance(&self, nodes: &mut Nodes, luck: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let now = read(&self.root)?;
        // The same code does for names that come through what it does for names that are synced.
        let mut more = Self { root: self.root.clone(), nodes: std::mem::take(nodes) };
        for (number, node) in &now {
            match (node, more.nodes.get(number).cloned()) {
                (Node::Folder { names: new, .. }, Some(Node::Folder { mode, names: old })) => {
                    let mut names = old.clone();
                    for name in old.keys().chain(new.keys()) {
                        if old.get(name) == new.get(name) || !luck() {
                            continue;
                        }
                        match new.get(name) {
                            Some(child) => {
                                more.create(*child, &now);
                                names.insert(name.clone(), *child);
                            }
                            None => {
                                names.remove(name);
                                more.keep_whole(old[name], &now);
                            }
                        }
                    }
                    // What `keep_whole` has just put there stays.
                    if let Some(Node::Folder { names: kept, .. }) = more.nodes.get(number) {
                        let added = kept.iter().filter(|(name, _)| !old.contains_key(*name));
                        names.extend(added.map(|(name, child)| (name.clone(), *child)));
                    }
                    more.nodes.insert(*number, Node::Folder { mode, names });
                }
                (Node::File { mode, content: new }, Some(Node::File { content: old, .. }))
                    if *new != old && luck() =>
                {
                    let content = mixed(&old, new, luck);
                    more.nodes.insert(*number, Node::File { mode: *mode, content });
                }
                _ => {}
            }
        }
        *nodes = more.nodes;
        Ok(())
    }
}

/// Page by page the old or the new content, with the length of one of them.
fn mixed(old: &[u8], new: &[u8], luck: &mut dyn FnMut() -> bool) -> Vec<u8> {
    if luck() {
        return new.to_vec();
    }
    let length = if luck() { new.len() } else { old.len() };
    let mut content = vec![0; length];
    for (at, page) in content.chunks_mut(PAGE).enumerate() {
        let source = if luck() { new } else { old };
        let source = source.get(at * PAGE..).unwrap_or_default();
        let count = source.len().min(page.len());
        page[..count].copy_from_slice(&source[..count]);
    }
    content
}

fn children(node: &Node) -> Vec<u64> {
    match node {
        Node::Folder { names, .. } => names.values().copied().collect(),
        _ => Vec::new(),
    }
}

fn read(root: &Path) -> io::Result<Nodes> {
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
            Node::File { mode, content: fs::read(entry.path())? }
        };
        nodes.insert(found.ino(), node);
    }
    Ok(nodes)
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
