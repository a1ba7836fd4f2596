//! Laws 1 to 5 over histories with every construct of the field, as plain strings.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use crate::{
    engine::{connect, up, written},
    fixtures::FIXTURES,
    judge::{Held, Stops, Subject},
    seeds::Seeds,
};
use piton::plan::Settings;

/// A history and what may happen with it.
pub struct Fixture {
    /// What it shows.
    pub name: &'static str,
    /// SQL that the application ran before.
    pub base: &'static str,
    /// Its files.
    pub files: &'static [(&'static str, &'static str)],
    /// SQL that runs behind a file, by its number from 0.
    pub seeds: &'static [(usize, &'static str)],
    /// How many trials of law 5 may be refused; all others have to end as plain SQL does.
    pub refused: usize,
    /// Whether a database without a ledger may be refused: its last statements are data.
    pub ending: Ending,
}

/// What the end of a history leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its schema or its rows show that it ran.
    Evident,
    /// Only data statements that leave no evidence.
    Data,
}

fn hold(fixture: &Fixture) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let migrations = written(&folder.path().join("migrations"), fixture.files);
    let base = (!fixture.base.is_empty()).then(|| {
        let path = folder.path().join("base.db");
        connect(&path).execute_batch(fixture.base).unwrap();
        path
    });
    let mut behind = vec![Vec::new(); migrations.len()];
    for (at, sql) in fixture.seeds {
        behind[*at].push((*sql).to_string());
    }
    let (folder, seeds) = (folder.path(), Seeds { behind });
    let trials = Subject { migrations, base, folder, seeds }.judge(Stops::Statements);
    let mut wrong = Vec::new();
    let mut refusals = Vec::new();
    for trial in trials {
        let line = format!("{}: law {}, {}", fixture.name, trial.law, trial.what);
        match trial.held {
            Held::Yes => {}
            Held::Broken(text) => wrong.push(format!("{line}: BROKEN\n{text}")),
            Held::Refused(text) if trial.law == 5 => refusals.push(format!("{line}: {text}")),
            Held::Refused(text) if trial.law == 2 && fixture.ending == Ending::Data => {
                assert!(text.contains("undecided"), "{text}");
            }
            Held::Refused(text) => wrong.push(format!("{line}: refused\n{text}")),
        }
    }
    if refusals.len() != fixture.refused {
        wrong.push(format!(
            "{}: {} refusals, not {}:\n{}",
            fixture.name,
            refusals.len(),
            fixture.refused,
            refusals.join("\n")
        ));
    }
    wrong
}

#[test]
fn laws_hold_over_every_fixture() {
    let wrong: Vec<String> = FIXTURES.iter().flat_map(hold).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_application_table_is_not_taken_to_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let text = "DROP TABLE t;\nCREATE TABLE t (id INTEGER PRIMARY KEY);";
    let migrations = written(&folder.path().join("migrations"), &[("1_a.sql", text)]);
    let path = folder.path().join("app.db");
    let base = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)";
    connect(&path).execute_batch(base).unwrap();
    let ended = up(&path, &migrations, &Settings::default());
    assert!(ended.codes().contains(&"undecided"), "{ended:?}");
}
