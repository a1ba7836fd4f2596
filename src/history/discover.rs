//! Finds the migrations of a folder: `<digits>_<name>.sql` and script files, in numeric order.
//!
//! What may be meant as a migration and is none that piton reads is kept apart: no run may start
//! beside it.

use super::{
    foreign::{self, Likeness},
    migration::{Migration, read},
    sorting::{Head, Looks, Meaning, sort},
    version::Version,
    way_back::{self, DOWN_PART, Numbered},
};
use crate::{
    Result, disk,
    error::{HistoryError, NotUnderstood},
};
use std::{
    collections::BTreeMap,
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

/// A file that is no migration, and why.
#[derive(Clone, Debug)]
pub struct Ignored {
    /// The file.
    pub path: PathBuf,
    /// Why it takes no part.
    pub reason: &'static str,
}

/// What `new` writes into a file, where the project has a form of its own.
pub const TEMPLATE: &str = ".template.sql";

/// The migrations of one folder, in order.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The subfolder's name; none for the migrations folder itself.
    pub name: Option<String>,
    /// Its migrations by version.
    pub migrations: Vec<Arc<Migration>>,
    /// Scripts without a number that look for themselves whether they are needed, by name.
    pub scripts: Vec<Arc<Migration>>,
    /// Files that take no part, where that is worth a line.
    pub ignored: Vec<Ignored>,
    /// Files and folders that may be meant as migrations and are not read.
    pub not_understood: Vec<NotUnderstood>,
}

/// What the files of a folder without numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Scripts that look for themselves, where each shows that it does.
    #[default]
    Recognised,
    /// Such scripts; a person says so.
    Scripts,
}

/// How a migrations folder is read: patterns of what stops nothing, and what the rest is.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    ignored: Vec<glob::Pattern>,
    form: Form,
}

impl Rules {
    /// The form, and patterns, each compared with a name and with the path from the migrations folder on.
    ///
    /// # Errors
    /// A sentence that says which pattern is wrong.
    pub fn new(form: Form, patterns: &[String]) -> Result<Self, String> {
        let compile = |text: &String| {
            let pattern = glob::Pattern::new(text.trim_end_matches('/'));
            pattern.map_err(|error| format!("the pattern `{text}` is wrong: {error}"))
        };
        let ignored = patterns.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { ignored, form })
    }

    fn matches(&self, root: &Path, path: &Path) -> bool {
        let name = Path::new(path.file_name().unwrap_or_default());
        let whole = path.strip_prefix(root).unwrap_or(path);
        let mut patterns = self.ignored.iter();
        patterns.any(|pattern| pattern.matches_path(name) || pattern.matches_path(whole))
    }
}

/// Reads the migrations folder and its direct subfolders, in the order of their names.
///
/// # Errors
/// [`HistoryError`] with the file, or two files where they have the same number.
pub fn discover(root: &Path, rules: &Rules) -> Result<Vec<Folder>> {
    let listed = entries(root, (root, rules))?;
    let mut helpers = Vec::new();
    let mut folders = vec![folder(&listed, None, rules.form, &mut helpers)?];
    // Also those that are ignored: they tell what the others are.
    let everything = entries(root, (root, &Rules::default()))?.folders;
    let siblings: Vec<&str> = everything.iter().filter_map(|it| it.file_name()?.to_str()).collect();
    for path in &listed.folders {
        let (path, name) = (path.clone(), name_of(path)?);
        if is_skipped(name) {
            continue;
        }
        if let Some(likeness) = foreign::folders_of_one(name, &siblings)
            && holds_migrations(&path, (root, rules), DEEP)?
        {
            folders[0].not_understood.push(not_understood(path, likeness));
            continue;
        }
        let inner = entries(&path, (root, rules))?;
        let names = inner.files.iter().filter_map(|file| file.file_name()?.to_str());
        if let Some(likeness) = foreign::folder(name, &names.collect::<Vec<_>>()) {
            folders[0].not_understood.push(not_understood(path, likeness));
            continue;
        }
        let mut found = folder(&inner, Some(name.into()), rules.form, &mut helpers)?;
        for deeper in inner.folders {
            if !is_skipped(name_of(&deeper)?) && holds_migrations(&deeper, (root, rules), DEEP)? {
                found.not_understood.push(not_understood(deeper, foreign::too_deep()));
            }
        }
        folders.push(found);
    }
    let any = folders.iter().any(|it| !it.migrations.is_empty() || !it.scripts.is_empty());
    for (path, likeness) in helpers {
        if any {
            folders[0].ignored.push(Ignored { path, reason: "a helper beside the migrations" });
        } else {
            folders[0].not_understood.push(not_understood(path, likeness));
        }
    }
    Ok(folders)
}

/// Folders of caches and tools, and those that are out of use by their names.
fn is_skipped(name: &str) -> bool {
    name.starts_with(['.', '_']) || name == "node_modules"
}

/// So many folders deep it is looked for migrations that are not read.
const DEEP: usize = 4;

fn holds_migrations(path: &Path, rules: (&Path, &Rules), deep: usize) -> Result<bool> {
    let listed = entries(path, rules)?;
    let sql = |file: &PathBuf| file.extension().is_some_and(|it| it.eq_ignore_ascii_case("sql"));
    if listed.files.iter().any(sql) {
        return Ok(true);
    }
    for folder in listed.folders.iter().filter(|_| deep > 0) {
        if !is_skipped(name_of(folder)?) && holds_migrations(folder, rules, deep - 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_understood(path: PathBuf, likeness: Likeness) -> NotUnderstood {
    NotUnderstood { path, looks_like: likeness.what, advice: likeness.advice }
}

/// Reads the migrations among the files of one folder.
///
/// # Errors
/// As [`discover`].
fn folder(
    listed: &Listed,
    name: Option<String>,
    form: Form,
    helpers: &mut Vec<(PathBuf, Likeness)>,
) -> Result<Folder> {
    let mut found = Vec::new();
    let mut scripts = Vec::new();
    let mut ignored = Vec::new();
    let special = listed.special.iter().cloned();
    let mut unknown: Vec<NotUnderstood> =
        special.map(|path| not_understood(path, foreign::special())).collect();
    for file in &listed.files {
        let path = file.clone();
        match sort(name_of(file)?, || Head::read(file))? {
            Meaning::Migration(version, name) => found.push((version, name, path)),
            Meaning::Ignored(reason) => ignored.push(Ignored { path, reason }),
            Meaning::Script(looks) => scripts.push((path, looks)),
            Meaning::Helper(likeness) => helpers.push((path, likeness)),
            Meaning::NotUnderstood(likeness) => unknown.push(not_understood(path, likeness)),
            Meaning::Nothing => {}
        }
    }
    let (found_none, shown) = (found.is_empty(), |(_, looks): &(_, Looks)| *looks == Looks::Yes);
    let are_a_history = found_none && (form == Form::Scripts || scripts.iter().all(shown));
    let scripts = match are_a_history {
        true => guarding(&scripts)?,
        false => {
            unknown.extend(
                scripts.into_iter().map(|(path, _)| not_understood(path, foreign::script())),
            );
            Vec::new()
        }
    };
    // A hidden file is in no list; what cannot be read is no template.
    let template = listed.folder.join(TEMPLATE);
    let template = fs::read_to_string(template).map(|text| text.trim().to_string()).ok();
    let mut by_version: BTreeMap<Version, Arc<Migration>> = BTreeMap::new();
    for migration in read_all(&without_down_parts(found, &mut ignored))? {
        if template.as_ref().is_some_and(|text| *text == migration.text.trim()) {
            let reason = "only its template is in it";
            ignored.push(Ignored { path: migration.path, reason });
            continue;
        }
        let strange = match migration.is_swallowed() {
            true => Some(foreign::swallowed()),
            false => way_back::suspect(&migration),
        };
        if let Some(likeness) = strange {
            unknown.push(not_understood(migration.path, likeness));
            continue;
        }
        let migration = Arc::new(migration);
        if let Some(other) = by_version.insert(migration.version.clone(), migration.clone()) {
            let (first, second) = (other.path.clone(), migration.path.clone());
            return Err(HistoryError::SameVersion { first, second }.into());
        }
    }
    let migrations = by_version.into_values().collect();
    Ok(Folder { name, migrations, scripts, ignored, not_understood: unknown })
}

/// Scripts that guard themselves, in the order of their names.
fn guarding(scripts: &[(PathBuf, Looks)]) -> Result<Vec<Arc<Migration>>> {
    let one = |(path, _): &(PathBuf, Looks)| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Arc::new(read(Version::zero(), &stem, path)?))
    };
    scripts.iter().map(one).collect()
}

/// `3_x_up.sql` and `3_x_down.sql` have one number, and the second is no migration.
fn without_down_parts(found: Vec<Numbered>, ignored: &mut Vec<Ignored>) -> Vec<Numbered> {
    let down = way_back::of_pairs(&found);
    let up = found.into_iter().filter(|(.., path)| !down.contains(path)).collect();
    ignored.extend(down.into_iter().map(|path| Ignored { path, reason: DOWN_PART }));
    up
}

/// Reads files in their order, many of them on several threads: most of the time goes into opening
/// them.
fn read_all(found: &[Numbered]) -> Result<Vec<Migration>> {
    const MANY: usize = 200;
    let read_some = |some: &[Numbered]| -> Result<Vec<Migration>> {
        some.iter().map(|(version, name, path)| read(version.clone(), name, path)).collect()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    if found.len() < MANY || threads < 2 {
        return read_some(found);
    }
    thread::scope(|scope| {
        let chunks = found.chunks(found.len().div_ceil(threads));
        // Where the system gives no more threads, this one reads.
        let start = |chunk| {
            let read = move || read_some(chunk);
            (chunk, thread::Builder::new().spawn_scoped(scope, read).ok())
        };
        let handles: Vec<_> = chunks.map(start).collect();
        let mut all = Vec::with_capacity(found.len());
        for (chunk, handle) in handles {
            let read = match handle {
                Some(handle) => handle.join().unwrap_or_else(|panic| resume_unwind(panic)),
                None => read_some(chunk),
            };
            all.append(&mut read?);
        }
        Ok(all)
    })
}

/// What a folder holds, each kind sorted.
#[derive(Default)]
struct Listed {
    folder: PathBuf,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Pipes, sockets and devices: reading one may wait for ever.
    special: Vec<PathBuf>,
}

fn entries(path: &Path, (root, rules): (&Path, &Rules)) -> Result<Listed> {
    let failed = || disk::failed("list the folder", path);
    let mut listed = Listed { folder: path.into(), ..Listed::default() };
    for entry in fs::read_dir(path).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let mut kind = entry.file_type().map_err(failed())?;
        let entry = entry.path();
        if rules.matches(root, &entry) {
            continue;
        }
        // A link is what it leads to; one that leads nowhere is reported when it is read.
        if kind.is_symlink()
            && let Ok(metadata) = entry.metadata()
        {
            kind = metadata.file_type();
        }
        let list = match kind {
            _ if kind.is_dir() => &mut listed.folders,
            _ if kind.is_file() || kind.is_symlink() => &mut listed.files,
            _ => &mut listed.special,
        };
        list.push(entry);
    }
    // By bytes: comparing paths part by part costs more and orders no better.
    listed.files.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
    listed.folders.sort_unstable();
    listed.special.sort_unstable();
    Ok(listed)
}

fn name_of(path: &Path) -> Result<&str> {
    let name = path.file_name().unwrap_or_default();
    Ok(name.to_str().ok_or_else(|| HistoryError::NameNotText { path: path.into() })?)
}
