//! `init`: the files that a project begins with.

use crate::render::{Report, text};
use anyhow::Result;
use piton::project::{Config, Created, Made, Outcome, Overrides, Project, World, config::FILE};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where an administrator's units are (systemd.unit(5)).
const SYSTEM: &str = "/etc/systemd/system";

/// Writes units and timers for systemd, for the project of a folder.
pub fn timers(overrides: Overrides, folder: &Path, into: &Path) -> Result<Report> {
    let mut overrides = overrides;
    let own = folder.join(FILE);
    if overrides.config.is_none() || folder != Path::new(".") {
        overrides.config = own.is_file().then_some(own);
    }
    let project = Project::new(Config::load_names(&overrides)?, World::system("init"));
    let piton = std::env::current_exe()?;
    let into = folder.join(into);
    let found = project.write_timers(&into, &piton)?;
    let mut human = listed(&found.created);
    if project.config().backup_every.is_none() {
        let note = text::styled(text::NOTICE, "note:");
        human.push_str(&format!(
            "{note} `every = \"1d\"` under `[backup]` in piton.toml lets status say when a backup is overdue\n"
        ));
    }
    let timers = found.timers.join(" ");
    human.push_str(&text::next(&match into == Path::new(SYSTEM) {
        true => format!("systemctl daemon-reload && systemctl enable --now {timers}"),
        false => format!(
            "look at them, then as root: cp {}/piton-* {SYSTEM}/ && systemctl daemon-reload && systemctl enable --now {timers}",
            into.display()
        ),
    }));
    let (outcome, made) = made(&found.created);
    Ok(Report::new(outcome, json!({ "made": made, "timers": found.timers }), human))
}

fn listed(created: &[Created]) -> String {
    let mut human = String::new();
    for item in created {
        let word = match item.made {
            Made::Now => text::styled(text::GOOD, "made   "),
            Made::Before => text::styled(text::FAINT, "is there"),
        };
        human.push_str(&format!("{word} {}\n", item.path.display()));
    }
    human
}

fn made(created: &[Created]) -> (Outcome, Vec<&PathBuf>) {
    let new = created.iter().filter(|item| item.made == Made::Now);
    let made: Vec<_> = new.map(|item| &item.path).collect();
    (if made.is_empty() { Outcome::NothingToDo } else { Outcome::Done }, made)
}

/// Makes them, and says which are new.
pub fn run(folder: &Path) -> Result<Report> {
    let url = std::env::var("DATABASE_URL").ok();
    let found = Project::init(folder, url.as_deref())?;
    let created = &found.created;
    let mut human = listed(created);
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
    let (outcome, made) = made(created);
    Ok(Report::new(
        outcome,
        json!({ "made": made, "database": found.database, "candidates": found.candidates }),
        human,
    ))
}
