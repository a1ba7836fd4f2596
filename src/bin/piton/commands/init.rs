//! `init`: the files that a project begins with.

use crate::render::{Report, text};
use anyhow::Result;
use piton::project::{Made, Outcome, Project};
use serde_json::json;
use std::path::Path;

/// Makes them, and says which are new.
pub fn run(folder: &Path) -> Result<Report> {
    let created = Project::init(folder)?;
    let mut human = String::new();
    for item in &created {
        let word = match item.made {
            Made::Now => text::styled(text::GOOD, "made   "),
            Made::Before => text::styled(text::FAINT, "is there"),
        };
        human.push_str(&format!("{word} {}\n", item.path.display()));
    }
    human.push_str(&text::next("piton new create_users"));
    let any = created.iter().any(|item| item.made == Made::Now);
    let made: Vec<_> =
        created.iter().filter(|item| item.made == Made::Now).map(|item| &item.path).collect();
    let outcome = if any { Outcome::Done } else { Outcome::NothingToDo };
    Ok(Report::new(outcome, json!({ "made": made }), human))
}
