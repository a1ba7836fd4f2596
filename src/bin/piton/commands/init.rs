//! `init`: the files that a project begins with.

use crate::render::{Report, text};
use anyhow::Result;
use piton::project::{Made, Outcome, Project};
use serde_json::json;
use std::path::Path;

/// Makes them, and says which are new.
pub fn run(folder: &Path) -> Result<Report> {
    let url = std::env::var("DATABASE_URL").ok();
    let found = Project::init(folder, url.as_deref())?;
    let created = &found.created;
    let mut human = String::new();
    for item in created {
        let word = match item.made {
            Made::Now => text::styled(text::GOOD, "made   "),
            Made::Before => text::styled(text::FAINT, "is there"),
        };
        human.push_str(&format!("{word} {}\n", item.path.display()));
    }
    if let Some(database) = &found.database {
        human.push_str(&format!("database {}\n", database.display()));
    }
    for candidate in &found.candidates {
        human.push_str(&format!("found   {} (a database)\n", candidate.display()));
    }
    human.push_str(&text::next(match (&found.database, found.candidates.is_empty()) {
        (Some(_), _) => "piton backup, then piton status",
        (None, true) => "piton new create_users",
        (None, false) => {
            "name the database that is meant in piton.toml (`data` is its folder, which holds no source; `database` its name)"
        }
    }));
    let any = created.iter().any(|item| item.made == Made::Now);
    let made: Vec<_> =
        created.iter().filter(|item| item.made == Made::Now).map(|item| &item.path).collect();
    let outcome = if any { Outcome::Done } else { Outcome::NothingToDo };
    Ok(Report::new(
        outcome,
        json!({ "made": made, "database": found.database, "candidates": found.candidates }),
        human,
    ))
}
