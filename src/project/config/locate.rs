//! Which data directory and which database in it are meant, however they are spelt: a folder, a file, an
//! absolute path, or a `sqlite:` URL.
//!
//! `sqlite:///x` is the relative `x` to SQLAlchemy and the absolute `/x` to sqlx and dbmate: both are looked at.

use super::{File, Overrides};
use crate::database;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Whether a person named the default database, or the default of piton counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Nobody did.
    Default,
    /// A flag, a variable or the file did.
    Configured,
}

/// The data directory and the default database in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub data: PathBuf,
    pub database: PathBuf,
    pub naming: Naming,
}

/// What was given, each with the folder that a relative one starts from.
struct Given<'a> {
    data: Option<(&'a Path, &'a Path)>,
    database: Option<(&'a Path, &'a Path)>,
    /// The data directory where none is given.
    default: PathBuf,
}

/// The data directory and the database that flags and file name.
pub(super) fn located(over: &Overrides, file: &File, parent: &Path) -> Result<Located, String> {
    let here = Path::new("");
    let pick = |over: Option<&'_ PathBuf>, file: Option<&'_ Spanned<PathBuf>>| match (over, file) {
        (Some(path), _) => Some((path.clone(), here)),
        (None, Some(path)) => Some((path.get_ref().clone(), parent)),
        (None, None) => None,
    };
    let data = pick(over.data.as_ref(), file.data.as_ref());
    let database = pick(over.database.as_ref(), file.database.as_ref());
    let given = Given {
        data: data.as_ref().map(|(path, base)| (path.as_path(), *base)),
        database: database.as_ref().map(|(path, base)| (path.as_path(), *base)),
        default: parent.join("data"),
    };
    locate(&given, &|path| path.is_file() && database::sniff(path).unwrap_or(false))
}

/// Finds out what is meant.
///
/// # Errors
/// A sentence that says what is wrong with the database.
fn locate(given: &Given<'_>, there: &dyn Fn(&Path) -> bool) -> Result<Located, String> {
    let data = given.data.map(|(path, base)| one(path, base, there)).transpose()?;
    if given.database.is_none()
        && let Some(path) = &data
        && there(path)
    {
        let (data, database) = parted(path)?;
        return Ok(Located { data, database, naming: Naming::Configured });
    }
    let explicit = data.is_some();
    let data = data.unwrap_or_else(|| given.default.clone());
    let Some((path, base)) = given.database else {
        return Ok(Located { data, database: "app.db".into(), naming: Naming::Default });
    };
    let naming = Naming::Configured;
    if !is_url(path) && path.is_relative() {
        return Ok(Located { data, database: path.into(), naming });
    }
    let given_path = path;
    let path = one(path, base, there)?;
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let folder = std::path::absolute(&data).unwrap_or_else(|_| data.clone());
    if let Ok(inside) = absolute.strip_prefix(&folder) {
        return Ok(Located { data, database: inside.into(), naming });
    }
    // A folder somewhere else becomes the data directory only for a database that is there.
    if explicit || !there(&absolute) && !is_url(given_path) {
        return Ok(Located { data, database: path, naming });
    }
    let (data, database) = parted(&path)?;
    Ok(Located { data, database, naming })
}

/// The folder of a database, and its name.
fn parted(path: &Path) -> Result<(PathBuf, PathBuf), String> {
    let name = path.file_name().ok_or_else(|| format!("`{}` names no file", path.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")).into(), name.into()))
}

fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| spelt(text).is_some())
}

/// The one path that is meant.
fn one(path: &Path, base: &Path, there: &dyn Fn(&Path) -> bool) -> Result<PathBuf, String> {
    let Some(candidates) = path.to_str().and_then(spelt) else { return Ok(base.join(path)) };
    let candidates: Vec<PathBuf> = candidates.iter().map(|path| base.join(path)).collect();
    let existing: Vec<&PathBuf> = candidates.iter().filter(|path| there(path)).collect();
    match (existing.as_slice(), candidates.as_slice()) {
        ([one], _) => Ok((*one).clone()),
        ([], [one]) => Ok(one.clone()),
        ([], []) => Err(format!("`{}` names no file", path.display())),
        (_, [first, second, ..]) => Err(format!(
            "`{}` may be `{}` or `{}`, and {}: give the path itself",
            path.display(),
            first.display(),
            second.display(),
            if existing.is_empty() { "neither is there" } else { "both are there" }
        )),
        _ => Err(format!("`{}` names no file", path.display())),
    }
}

/// The paths that a URL of a SQLite database may mean; none for what is no such URL.
pub(crate) fn spelt(text: &str) -> Option<Vec<PathBuf>> {
    let (scheme, rest) = text.split_once(':')?;
    let scheme = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
    if !["sqlite", "sqlite3", "file"].contains(&scheme.as_str()) {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    if rest.is_empty() || rest.contains(":memory:") {
        return Some(Vec::new());
    }
    let slashes = rest.bytes().take_while(|&byte| byte == b'/').count();
    let bare = &rest[slashes..];
    Some(match slashes {
        0 | 2 => vec![bare.into()],
        3 => vec![bare.into(), format!("/{bare}").into()],
        _ => vec![format!("/{bare}").into()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(
        data: Option<&str>,
        database: Option<&str>,
        there: &[&str],
    ) -> Result<String, String> {
        let base = Path::new("/p");
        let given = Given {
            data: data.map(|path| (Path::new(path), base)),
            database: database.map(|path| (Path::new(path), base)),
            default: "/p/data".into(),
        };
        let is_there = |path: &Path| there.contains(&path.to_str().unwrap());
        let found = locate(&given, &is_there)?;
        Ok(format!("{} {}", found.data.display(), found.database.display()))
    }

    #[test]
    fn every_spelling() {
        for (data, database, there, wanted) in [
            (None, None, &[][..], "/p/data app.db"),
            (Some("db"), None, &[], "/p/db app.db"),
            (Some("db/x.db"), None, &["/p/db/x.db"], "/p/db x.db"),
            (Some("db"), Some("x.db"), &[], "/p/db x.db"),
            (None, Some("x.db"), &[], "/p/data x.db"),
            (None, Some("/p/data/a/x.db"), &[], "/p/data a/x.db"),
            (None, Some("/srv/x.db"), &["/srv/x.db"], "/srv x.db"),
            (None, Some("/etc/passwd"), &[], "/p/data /etc/passwd"),
            (None, Some("sqlite:db/x.db"), &[], "/p/db x.db"),
            (None, Some("sqlite://db/x.db?mode=rwc"), &[], "/p/db x.db"),
            (None, Some("sqlite:////srv/x.db"), &[], "/srv x.db"),
            (None, Some("sqlite:///db/x.db"), &["/p/db/x.db"], "/p/db x.db"),
            (None, Some("sqlite+aiosqlite:///db/x.db"), &["/db/x.db"], "/db x.db"),
        ] {
            assert_eq!(located(data, database, there).unwrap(), wanted, "{data:?} {database:?}");
        }
        let unclear = located(None, Some("sqlite:///db/x.db"), &[]).unwrap_err();
        assert!(unclear.contains("`/p/db/x.db` or `/db/x.db`, and neither is there"), "{unclear}");
        let both = ["/p/db/x.db", "/db/x.db"];
        assert!(located(None, Some("sqlite:///db/x.db"), &both).unwrap_err().contains("both"));
        assert!(located(None, Some("sqlite::memory:"), &[]).is_err());
    }
}
