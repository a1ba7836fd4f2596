//! `init` and `new`: the files that a project begins with. Nothing that exists is changed.

use super::{Databases, Project, Selection, config::FILE};
use crate::{
    Result, disk,
    error::ProjectError,
    history::{Migration, Version},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const CONFIG: &str = include_str!("piton.toml");
const DEPLOY: &str = include_str!("../../deploy.sh");

/// A file or folder that `init` looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its path.
    pub path: PathBuf,
    /// Whether it was made now.
    pub made: Made,
}

/// Whether something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    Now,
    /// It was there and stays as it is.
    Before,
}

/// Which kind of file `new` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewFile {
    /// A migration in SQL.
    Sql,
    /// A script migration.
    Script,
}

impl Project {
    /// Makes a commented configuration, the folders and `deploy.sh` in a folder.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn init(folder: &Path) -> Result<Vec<Created>> {
        let mut created = Vec::new();
        for name in ["data", "migrations", "scripts"] {
            let path = folder.join(name);
            let made = if path.is_dir() { Made::Before } else { Made::Now };
            disk::create_folders("init-folder", &path)?;
            created.push(Created { path, made });
        }
        for (name, text, mode) in [(FILE, CONFIG, 0o644), ("deploy.sh", DEPLOY, 0o755)] {
            let path = folder.join(name);
            let made = if path.exists() { Made::Before } else { Made::Now };
            if made == Made::Now {
                disk::write_atomic("init-file", &path, mode, text.as_bytes())?;
            }
            created.push(Created { path, made });
        }
        Ok(created)
    }

    /// Makes an empty migration with the next number and returns its path.
    ///
    /// # Errors
    /// [`ProjectError::Setting`] for a name that no file can have.
    pub fn new_migration(
        &self,
        name: &str,
        kind: NewFile,
        target: Option<&str>,
    ) -> Result<PathBuf> {
        let slug = slug(name)?;
        let selection = Selection {
            targets: target.map(Into::into).into_iter().collect(),
            ..Selection::default()
        };
        let targets = self.selected(&selection)?;
        let target = targets.targets.first();
        let default = Databases::Named(self.config.database.clone());
        let folder = match target {
            Some(target) if target.databases != default => {
                match self.config.targets.get(&target.name) {
                    Some((_, Some(folder))) => folder.clone(),
                    _ => self.config.migrations.join(&target.name),
                }
            }
            _ => self.config.migrations.clone(),
        };
        let number = next(target.map_or(&[][..], |target| &target.migrations));
        let (extension, mode, text) = match kind {
            NewFile::Sql => ("sql", 0o644, sql_template(name)),
            NewFile::Script => ("sh", 0o755, script_template(name)),
        };
        let path = folder.join(format!("{number}_{slug}.{extension}"));
        if path.exists() {
            return Err(ProjectError::Exists { path }.into());
        }
        disk::write_atomic("new-file", &path, mode, text.as_bytes())?;
        Ok(path)
    }
}

fn slug(name: &str) -> Result<String> {
    let mut slug = String::new();
    for character in name.trim().chars() {
        if character.is_alphanumeric() {
            slug.extend(character.to_lowercase());
        } else if !slug.ends_with('_') {
            slug.push('_');
        }
    }
    let slug = slug.trim_matches('_');
    if slug.is_empty() {
        let reason = "a migration needs a name of letters or digits, such as `add_email`".into();
        return Err(ProjectError::Setting { name: "NAME".into(), reason }.into());
    }
    Ok(slug.into())
}

/// The number after the last one, as wide as the last one is written.
fn next(migrations: &[Arc<Migration>]) -> String {
    let Some(last) = migrations.last().map(|migration| migration.version.clone()) else {
        return "001".into();
    };
    let width = last.to_string().len();
    let mut digits: Vec<u8> = Version::digits(&last).bytes().collect();
    let mut at = digits.len();
    loop {
        if at == 0 {
            digits.insert(0, b'1');
            break;
        }
        at -= 1;
        if digits[at] == b'9' {
            digits[at] = b'0';
        } else {
            digits[at] += 1;
            break;
        }
    }
    let text: String = digits.into_iter().map(char::from).collect();
    format!("{text:0>width$}")
}

fn sql_template(name: &str) -> String {
    format!(
        "-- {name}\n--\n-- Guards are derived from the statements. What only data can tell stands up here,\n\
         -- one line each, as a name with a colon and a query behind it:\n\
         --   skip-if   it is done already when this is true\n\
         --   require   refuse to run unless this is true\n\
         --   verify    must be true afterwards, else all is taken back\n"
    )
}

fn script_template(name: &str) -> String {
    format!(
        "#!/usr/bin/env bash\n# {name}\n#\n# PITON_DATABASE, PITON_DATA_DIR and PITON_BACKUP say where things are.\n\
         # A script shares no transaction: if it fails, the backup of the run is put back.\nset -euo pipefail\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(slug("Add e-mail!").unwrap(), "add_e_mail");
        assert!(slug("../..").is_err());
        let header = crate::history::Header::read(Path::new("1.sql"), &sql_template("x")).unwrap();
        assert_eq!(header, crate::history::Header::default());
    }
}
