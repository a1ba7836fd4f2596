//! What `init` finds in a folder: databases that lie there, and what settings say about one.

use super::{
    candidates::databases_below,
    config::spelt,
    init::{Created, Made},
};
use crate::{Result, database, disk};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// The retention that a new configuration begins with.
const RETENTION: &str = "[retention]\nlast = 10\ndaily = 7\nweekly = 4\nmonthly = 12\n";

/// What a folder holds.
#[derive(Default)]
pub(super) struct Survey {
    /// The database that is meant, relative to the folder.
    pub chosen: Option<PathBuf>,
    /// Databases of which none could be chosen.
    pub candidates: Vec<PathBuf>,
}

impl Survey {
    /// Looks for databases in a folder, and for what settings name.
    pub fn of(folder: &Path, url: Option<&str>) -> Self {
        let candidates = databases_below(folder, 3);
        let named = url.map(Into::into).or_else(|| from_settings(folder));
        let named = named.and_then(|url| existing(folder, &url));
        let one = || match candidates.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        // In the folder itself lies the source as well, which a restore would take back.
        let is_apart = |path: &PathBuf| {
            path.parent().is_some_and(|parent| {
                !parent.as_os_str().is_empty() && !folder.join(parent).join("migrations").is_dir()
            })
        };
        match named.or_else(one).filter(is_apart) {
            Some(chosen) => Self { chosen: Some(chosen), candidates: Vec::new() },
            None => Self { chosen: None, candidates },
        }
    }

    /// The data directory of the chosen database.
    pub fn data(&self) -> Option<PathBuf> {
        Some(self.chosen.as_ref()?.parent()?.into())
    }

    /// The configuration with what was found, and with rules for the backups.
    pub fn configuration(&self, template: &str) -> String {
        let mut text = template.to_string();
        if let (Some(data), Some(name)) =
            (self.data(), self.chosen.as_ref().and_then(|path| path.file_name()))
        {
            let quoted = |path: &Path| toml::Value::from(&*path.to_string_lossy()).to_string();
            text = text.replace("# data = \"data\"", &format!("data = {}", quoted(&data)));
            let database = format!("database = {}", quoted(Path::new(name)));
            text = text.replace("# database = \"app.db\"", &database);
        }
        if !self.candidates.is_empty() {
            let mut lines = String::from(
                "\n# Databases that `piton init` found; name the one that is meant above.\n",
            );
            for path in &self.candidates {
                let _ = writeln!(lines, "#   {}", path.display());
            }
            text = text.replacen(
                "# database = \"app.db\"\n",
                &format!("# database = \"app.db\"\n{lines}"),
                1,
            );
        }
        let rules = text.find("# [retention]");
        let end = rules.and_then(|start| text[start..].find("\n\n").map(|end| start + end));
        if let (Some(start), Some(end)) = (rules, end) {
            let rest = text[start..end].split_once('\n').map_or("", |(_, rest)| rest);
            let more: String = rest
                .lines()
                .filter(|line| {
                    !["last", "daily", "weekly", "monthly"]
                        .iter()
                        .any(|key| line.starts_with(&format!("# {key} ")))
                })
                .map(|line| format!("{line}\n"))
                .collect();
            text.replace_range(start..=end, &format!("{RETENTION}{more}"));
        }
        text
    }

    /// Keeps data, backups and piton's own files out of the repository.
    pub fn leave_out_of_git(&self, folder: &Path, configured: bool) -> Result<Option<Created>> {
        let path = folder.join(".gitignore");
        if configured || !(path.exists() || folder.join(".git").exists()) {
            return Ok(None);
        }
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(disk::failed("read", &path)(error).into()),
        };
        let mut wanted = match &self.chosen {
            Some(chosen) => {
                let data = self.data().unwrap_or_default();
                vec![format!("/{}*", chosen.display()), format!("/{}/.piton/", data.display())]
            }
            None => vec!["/data/".into()],
        };
        wanted.push("/backups/".into());
        let has = |line: &String| {
            let bare = |text: &str| text.trim().trim_matches('/').to_string();
            before.lines().any(|other| bare(other) == bare(line))
        };
        wanted.retain(|line| !has(line));
        if wanted.is_empty() {
            return Ok(Some(Created { path, made: Made::Before }));
        }
        let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        let text = format!("{before}{gap}{}\n", wanted.join("\n"));
        disk::write_atomic("init-file", &path, 0o644, text.as_bytes())?;
        Ok(Some(Created { path, made: Made::Now }))
    }
}

/// `DATABASE_URL` of an `.env` file.
fn from_settings(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(".env")).ok()?;
    let value = text.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("export ");
        Some(line.strip_prefix("DATABASE_URL")?.trim_start().strip_prefix('=')?.trim())
    })?;
    Some(value.trim_matches(['"', '\'']).to_string())
}

/// The one database below the folder that a URL or path means.
fn existing(folder: &Path, url: &str) -> Option<PathBuf> {
    let candidates = spelt(url).unwrap_or_else(|| vec![url.into()]);
    let whole = fs::canonicalize(folder).ok()?;
    let mut found = candidates.iter().filter_map(|path| {
        let path = fs::canonicalize(folder.join(path)).ok()?;
        let is_one = path.is_file() && database::sniff(&path).unwrap_or(false);
        is_one.then(|| path.strip_prefix(&whole).map(Into::into).ok())?
    });
    let first = found.next()?;
    found.all(|other: PathBuf| other == first).then_some(first)
}
