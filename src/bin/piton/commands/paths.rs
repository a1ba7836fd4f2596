//! `status --paths`: what the configuration calls its own, for deploy.sh and other programs.

use crate::{
    args::PathsForm,
    render::{Report, Screen},
};
use anyhow::Result;
use piton::project::{Config, Outcome, Overrides, Paths};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Says it; folders and databases need not exist, and none is opened.
pub fn run(overrides: &Overrides, form: PathsForm, screen: &Screen) -> Result<(Report, Screen)> {
    let config = Config::load_names(overrides)?;
    let paths = Paths::of(&config, Path::new("."))?;
    let human = match form {
        PathsForm::Lines => paths.lines()?,
        PathsForm::Rsync => paths.rsync_rules()?,
    };
    let report = Report::lazily(*screen, Outcome::Done, || to_json(&paths), human);
    Ok((report.verbatim(), *screen))
}

fn to_json(paths: &Paths) -> Value {
    let all = |paths: &[PathBuf]| paths.iter().map(|path| one(path)).collect::<Vec<_>>();
    let maybe = |path: &Option<PathBuf>| path.as_deref().map(one);
    json!({ "paths": {
        "folder": one(&paths.folder),
        "config": maybe(&paths.config),
        "data": one(&paths.data),
        "backups": one(&paths.backups),
        "private": all(&paths.private),
        "databases": all(&paths.databases),
        "migrations": all(&paths.migrations),
        "scripts": one(&paths.scripts),
        "hooks": one(&paths.hooks),
        "releases": maybe(&paths.releases),
        "current": maybe(&paths.current),
        "copies": maybe(&paths.copies),
        "inside": all(&paths.inside),
    } })
}

fn one(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
