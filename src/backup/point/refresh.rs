//! Bringing the copy up to what a stopped service left: only what differs is written.

use super::{
    BackupId, Cut, Note, Path, Replica, Request, Result, Sight, State, Store, Sync, Tree, distinct,
    folder, left_out, note, outside,
    pages::{Followed, follow},
    root, scan, scope,
};
use crate::{
    Error,
    database::{self, Folded},
    disk,
    store::StoredPath,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Makes the copy what the data directory is. Nothing where a database is in use or unsound.
///
/// # Errors
/// The system's, with the path.
pub(super) fn refresh(
    request: &Request<'_>,
    store: &Store,
    note: Note,
) -> Result<Option<BackupId>> {
    let (folder, root) = (folder(store), root(store));
    let left_out = left_out(request, store);
    let scope = scope(request, &left_out);
    let first_look = scan::scan(scope)?;
    for path in distinct(&first_look).into_keys() {
        let live = path.below(request.data);
        database::require_first_page(&live)?;
        match database::fold(&live)? {
            Folded::Whole => {}
            Folded::Held | Folded::Raw(_) => return Ok(None),
        }
    }
    // Their logs are gone, and so is every connection.
    let live = scan::scan(scope)?;
    let replica = Replica { live: request.data, root: &root };
    let mut refreshing = Refreshing { folder: &folder, note, replica, touched: BTreeSet::new() };
    let before = replica.look()?;
    refreshing.remove_what_went(&live, &before)?;
    refreshing.part_names(&live, &before)?;
    if refreshing.databases(&live)? == Followed::Held {
        return Ok(None);
    }
    refreshing.folders(&live)?;
    let mut entries: Vec<Entry<'_>> = live.folders.iter().collect();
    entries.extend(refreshing.files(&live, &before)?);
    refreshing.links(&live)?;
    entries.extend(live.databases.iter().chain(&live.symlinks));
    refreshing.dress(&entries)?;
    refreshing.note.notes = outside::notes(request.data, &live);
    refreshing.note.notes.extend_from_slice(&live.notes);
    refreshing.finish(request, store)
}

/// All names that a database has, by each of them.
fn named_together(tree: &Tree) -> BTreeMap<StoredPath, BTreeSet<StoredPath>> {
    let groups = distinct(tree).into_iter().map(|(path, others)| {
        let all: BTreeSet<StoredPath> = others.into_iter().chain([path]).collect();
        all
    });
    groups.flat_map(|all| all.clone().into_iter().map(move |path| (path, all.clone()))).collect()
}

/// A path, and what it is.
type Entry<'a> = (&'a StoredPath, &'a scan::Found);

struct Refreshing<'a> {
    folder: &'a Path,
    note: Note,
    replica: Replica<'a>,
    /// Folders in which names have come or gone.
    touched: BTreeSet<PathBuf>,
}

impl Refreshing<'_> {
    /// Before the first change the note stops saying that the copy equals a backup.
    fn change(&mut self) -> Result<()> {
        if matches!(self.note.state, State::Beside { .. }) {
            self.note.state = State::Between;
            note::write(self.folder, &self.note)?;
        }
        Ok(())
    }

    fn touch(&mut self, path: &StoredPath) {
        let copy = path.below(self.replica.root);
        self.touched.extend(copy.parent().map(Path::to_path_buf));
    }

    /// What is no longer there, or is something else by now.
    fn remove_what_went(&mut self, live: &Tree, before: &Tree) -> Result<()> {
        let kinds = |tree: &Tree| {
            [&tree.databases, &tree.files, &tree.symlinks, &tree.folders]
                .into_iter()
                .flatten()
                .map(|(path, found)| (path.clone(), found.kind()))
                .collect::<BTreeSet<_>>()
        };
        let (wanted, had) = (kinds(live), kinds(before));
        // Backwards, what is in a folder comes before it.
        let gone: Vec<_> = had.difference(&wanted).collect();
        for (path, _) in gone.into_iter().rev() {
            self.change()?;
            let copy = path.below(self.replica.root);
            match disk::find(&copy)? {
                Some(found) if found.is_dir() => disk::remove_tree("point-remove", &copy)?,
                _ => disk::remove_file("point-remove", &copy)?,
            }
            self.touch(path);
        }
        Ok(())
    }

    /// Names that were of one database and are not any more, or the other way round, begin anew: what is
    /// written under one name would be written under the other.
    fn part_names(&mut self, live: &Tree, before: &Tree) -> Result<()> {
        let (wanted, had) = (named_together(live), named_together(before));
        for (path, together) in had {
            if wanted.get(&path).is_some_and(|it| *it != together) {
                self.change()?;
                disk::remove_file("point-remove", &path.below(self.replica.root))?;
                self.touch(&path);
            }
        }
        Ok(())
    }

    fn databases(&mut self, live: &Tree) -> Result<Followed> {
        for (path, others) in distinct(live) {
            let (from, to) = (path.below(self.replica.live), self.replica.place(&path)?);
            if disk::find(&to)?.is_none() {
                self.change()?;
                drop(disk::create_private_file("point-file", &to)?);
                self.touch(&path);
            }
            let mut begin = || self.change();
            if follow(&from, &to, &mut begin)? == Followed::Held {
                return Ok(Followed::Held);
            }
            for other in others {
                let second = self.replica.place(&other)?;
                let identity = |path: &Path| -> Result<_> {
                    Ok(disk::find(path)?.map(|found| Sight::of(&(&found).into())))
                };
                if identity(&second)? != identity(&to)? {
                    self.change()?;
                    disk::remove_file("point-remove", &second)?;
                    disk::hard_link("point-second-name", &to, &second)?;
                    self.touch(&other);
                }
            }
        }
        Ok(Followed::Equal)
    }

    /// Gives those back that may have other attributes by now.
    fn files<'a>(&mut self, live: &'a Tree, before: &Tree) -> Result<Vec<Entry<'a>>> {
        let sights = note::read_sights(self.folder)?;
        let mut unknown = Vec::new();
        for (path, found) in &live.files {
            let is_there = before.files.contains_key(path);
            if is_there && sights.get(path) == Some(&Sight::of(found)) {
                continue;
            }
            unknown.push((path, found));
            if is_there && self.replica.has_equal_bytes(path)? {
                continue;
            }
            self.change()?;
            if self.replica.copy_file(path, Sync::Now)?.is_none() {
                let reason = format!("`{path}` went although nothing runs");
                return Err(Error::Internal(reason));
            }
            self.touch(path);
        }
        Ok(unknown)
    }

    fn links(&mut self, live: &Tree) -> Result<()> {
        for (path, found) in &live.symlinks {
            let target = |root: &Path| disk::read_link(&path.below(root)).ok();
            if target(self.replica.live) != target(self.replica.root) {
                self.change()?;
                self.replica.link(path, found)?;
                self.touch(path);
            }
        }
        Ok(())
    }

    fn folders(&mut self, live: &Tree) -> Result<()> {
        for path in live.folders.keys() {
            if disk::find(&path.below(self.replica.root))?.is_none() {
                self.change()?;
                let folder = self.replica.place(path)?;
                disk::create_private_folders("point-folder", &folder)?;
                self.touched.insert(folder);
                self.touch(path);
            }
        }
        Ok(())
    }

    /// Attributes are content but for the times, which are brought over where something changed.
    fn dress(&mut self, entries: &[Entry<'_>]) -> Result<()> {
        for (path, found) in entries {
            if !self.replica.is_alike(path, found)? {
                self.change()?;
            }
        }
        if matches!(self.note.state, State::Beside { .. }) {
            return Ok(());
        }
        // What is in a folder comes before it, whose time it changes.
        entries.iter().rev().try_for_each(|(path, found)| self.replica.dress(path, found))
    }

    fn finish(mut self, request: &Request<'_>, store: &Store) -> Result<Option<BackupId>> {
        if let State::Beside { backup } = self.note.state {
            return Ok(Some(backup));
        }
        for folder in &self.touched {
            // One that went, or is a file by now, has names no more.
            if disk::find(folder)?.is_some_and(|found| found.is_dir()) {
                disk::sync_folder("point-sync-folder", folder)?;
            }
        }
        let id = BackupId::new(request.now, request.random);
        self.note.state = State::Still { id: id.clone() };
        self.note.taken = request.now;
        self.note.sequence = Some(store.next_sequence(&store.survey()?, request.now)?);
        self.note.cut = Cut::All;
        note::write(self.folder, &self.note)?;
        Ok(Some(id))
    }
}
