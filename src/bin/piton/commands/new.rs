//! `new`: an empty migration with the next number.

use super::Context;
use crate::render::{Report, text};
use anyhow::Result;
use piton::project::{NewFile, Outcome};
use serde_json::json;

/// Makes it.
pub fn run(context: &Context, name: &str, script: bool, target: Option<&str>) -> Result<Report> {
    let kind = if script { NewFile::Script } else { NewFile::Sql };
    let path = context.project.new_migration(name, kind, target)?;
    let human = format!("made {}\n{}", path.display(), text::next("edit it, then: piton plan"));
    Ok(Report::new(Outcome::Done, json!({ "path": path }), human))
}
