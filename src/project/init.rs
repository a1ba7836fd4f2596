//! `init` and `new`: the files that a project begins with. Nothing that exists is changed.

use super::numbering;
use super::{Databases, Project, Selection, config::FILE, survey::Survey};
use crate::{Result, disk, error::ProjectError, history::TEMPLATE};
use std::path::{Path, PathBuf};

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

/// What `init` made and found.
#[derive(Clone, Debug, Default)]
pub struct Initiated {
    /// Files and folders, in the order in which it looked at them.
    pub created: Vec<Created>,
    /// The database that the configuration names now, relative to the folder.
    pub database: Option<PathBuf>,
    /// Databases that lie there and of which none could be chosen.
    pub candidates: Vec<PathBuf>,
}

impl Project {
    /// Makes a commented configuration, the folders and `deploy.sh` in a folder. `url` is what the
    /// environment gives as `DATABASE_URL`.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn init(folder: &Path, url: Option<&str>) -> Result<Initiated> {
        let mut found = Initiated::default();
        let configured = folder.join(FILE).exists();
        let survey = if configured { Survey::default() } else { Survey::of(folder, url) };
        let data = survey.data().unwrap_or_else(|| PathBuf::from("data"));
        let folders = [data.as_path(), Path::new("migrations"), Path::new("scripts")];
        for name in folders.iter().skip(usize::from(configured)) {
            let path = folder.join(name);
            let made = if path.is_dir() { Made::Before } else { Made::Now };
            disk::create_folders("init-folder", &path)?;
            found.created.push(Created { path, made });
        }
        let text = survey.configuration(CONFIG);
        for (name, text, mode) in [(FILE, text.as_str(), 0o644), ("deploy.sh", DEPLOY, 0o755)] {
            let path = folder.join(name);
            let made = if path.exists() { Made::Before } else { Made::Now };
            if made == Made::Now {
                disk::write_atomic("init-file", &path, mode, text.as_bytes())?;
            }
            found.created.push(Created { path, made });
        }
        found.created.extend(survey.leave_out_of_git(folder, configured)?);
        found.database.clone_from(&survey.chosen);
        found.candidates = survey.candidates;
        Ok(found)
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
        let migrations = target.map_or(&[][..], |target| &target.migrations);
        let number = numbering::next(migrations, (self.world.clock)());
        let own = [folder.join(TEMPLATE), self.config.migrations.join(TEMPLATE)];
        let own = own.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let (extension, mode, text) = match kind {
            NewFile::Sql => (
                "sql",
                0o644,
                own.map_or_else(|| sql_template(name), |text| text.replace("{name}", name)),
            ),
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
