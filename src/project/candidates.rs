//! SQLite databases that lie about: for `init`, and for a run that would make a new one beside them.
//!
//! It reads the first bytes of files, so that it must run before this process has a connection to one.

use super::{config::Config, targets::Targets};
use crate::{
    Result, database,
    history::Migration,
    plan::{DatabasePlan, Finding, Severity},
    project::config::Naming,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Folders of a project in which no database of its own lies.
const FOREIGN: [&str; 8] =
    ["node_modules", "target", "venv", "vendor", "backups", "__pycache__", "dist", "build"];
/// Entries that are looked at, and databases that are named.
const ENTRIES: usize = 20_000;
const NAMED: usize = 20;

/// The databases below a folder, relative to it, in the order of their paths; hidden folders and those
/// of tools are left out.
#[must_use]
pub fn databases_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = ENTRIES;
    search(folder, depth, &mut left, &mut found);
    let relative = |path: PathBuf| Some(path.strip_prefix(folder).ok()?.to_path_buf());
    found.into_iter().filter_map(relative).take(NAMED).collect()
}

/// What cannot be listed or read is passed over: nothing is decided by what is not found.
fn search(folder: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) {
    let Ok(listing) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = listing.filter_map(|entry| entry.ok()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let Some(rest) = left.checked_sub(1) else { return };
        *left = rest;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        if name.starts_with('.') || kind.is_dir() && FOREIGN.contains(&&*name) {
            continue;
        }
        if kind.is_dir() && depth > 1 {
            search(&entry.path(), depth - 1, left, found);
        } else if kind.is_file() && database::sniff(&entry.path()).unwrap_or(false) {
            found.push(entry.path());
        }
    }
}

/// Refuses the plans that would make a database that nobody named, beside databases that belong to no
/// history: most likely one of those is meant.
///
/// # Errors
/// A malformed pattern; the system's.
pub fn refuse_beside_others(
    config: &Config,
    targets: &Targets,
    plans: &mut [DatabasePlan],
) -> Result<()> {
    let is_new = |plan: &DatabasePlan| {
        !plan.exists && plan.acts() && !is_named(config, targets, &plan.target, &plan.database)
    };
    if !plans.iter().any(is_new) {
        return Ok(());
    }
    let mut own = Vec::new();
    for target in &targets.targets {
        let databases = target.paths(&config.data)?;
        let is_one = |it: &PathBuf| is_named(config, targets, &target.name, it);
        let has_history = !target.migrations.is_empty() || !target.scripts.is_empty();
        own.extend(databases.into_iter().filter(|it| has_history || is_one(it)));
    }
    let mut others = databases_below(&config.data, 4);
    others.retain(|path| !own.contains(path));
    let Some(first) = others.first() else { return Ok(()) };
    let names: Vec<String> = others.iter().map(|path| format!("`{}`", path.display())).collect();
    let message =
        format!("it would be made beside {}, which belongs to no target", names.join(", "));
    for plan in plans.iter_mut().filter(|plan| is_new(plan)) {
        let (key, place) = match plan.database == config.database {
            true => ("database", String::new()),
            false => ("databases", format!(" under `[targets.{}]`", plan.target)),
        };
        let hint = format!(
            "say which is meant in `piton.toml`{place}: `{key} = \"{}\"`; a new one of this name: `{key} = \"{}\"`",
            first.display(),
            plan.database.display()
        );
        let finding = Finding::new("new-database", Severity::Denied, message.clone()).hint(hint);
        plan.findings.insert(0, finding);
    }
    Ok(())
}

/// Whether a person named the database of a target: in the configuration, or in the header of a file.
fn is_named(config: &Config, targets: &Targets, target: &str, database: &Path) -> bool {
    if database == config.database {
        return config.naming == Naming::Configured;
    }
    let in_header = |it: &Arc<Migration>| it.header.database.is_some();
    config.targets.contains_key(target)
        || targets
            .targets
            .iter()
            .any(|found| found.name == target && found.migrations.iter().any(in_header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn by_content_and_place() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("db/production.sqlite3", "SQLite format 3\0"),
            ("app.data", "SQLite format 3\0"),
            ("notes.db", "no database"),
            ("node_modules/x/test.db", "SQLite format 3\0"),
            (".cache/x.db", "SQLite format 3\0"),
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = databases_below(folder.path(), 4);
        assert_eq!(found, [Path::new("app.data"), Path::new("db/production.sqlite3")]);
    }
}
