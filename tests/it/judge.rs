//! Holds one history to the laws: the same rows and schema as plain SQL, whatever the database has
//! seen before. `laws.rs` runs it over fixtures, `examples/histories.rs` over folders.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, dead_code)]

use crate::{
    engine::{
        Dump, Ended, bytes, carry, connect, differences, drop_ledger, dump, fresh, last, plain,
        plan, up,
    },
    seeds::Seeds,
};
use piton::{
    apply::Lasting,
    history::{Allowance, Migration},
    plan::{Action, DatabasePlan, Settings},
    sql::{Class, classify},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What became of a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It held.
    Yes,
    /// The plan was refused, everything as before; the codes.
    Refused(String),
    /// It did not hold.
    Broken(String),
}

/// One trial of a law.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The law's number in the design.
    pub law: u8,
    /// What was tried.
    pub what: String,
    /// What became of it.
    pub held: Held,
}

/// Where a database stops before `up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stops {
    /// After every statement.
    Statements,
    /// After one statement in so many, counted from here.
    Sample(usize, usize),
    /// After at most so many migrations.
    Migrations(usize),
}

/// A history and the database on which it starts.
pub struct Subject<'a> {
    /// Its migrations.
    pub migrations: Vec<Arc<Migration>>,
    /// What the application made before.
    pub base: Option<PathBuf>,
    /// Where its databases are made.
    pub folder: &'a Path,
    /// The rows that are put in behind each migration.
    pub seeds: Seeds,
}

impl Subject<'_> {
    /// All laws.
    pub fn judge(&mut self, stops: Stops) -> Vec<Trial> {
        let mut trials = Vec::new();
        self.at_once(&mut trials);
        self.stepwise(&mut trials);
        self.stopped(stops, &mut trials);
        trials
    }

    /// A copy of the database on which the history starts.
    pub fn start(&self, name: &str) -> PathBuf {
        let path = fresh(self.folder, name);
        if let Some(base) = &self.base {
            fs::copy(base, &path).unwrap();
        }
        path
    }

    /// The database that plain SQL makes, with seeds behind the first so many migrations.
    fn twin(&self, name: &str, seeded: usize) -> PathBuf {
        let path = self.start(name);
        let connection = connect(&path);
        for (at, migration) in self.migrations.iter().enumerate() {
            plain(&connection, migration, migration.statements().len()).unwrap();
            if at < seeded {
                self.seeds.plant(&connection, at);
            }
        }
        path
    }

    /// Laws 4, 3, 1 and 2 on a database without seeds.
    fn at_once(&self, trials: &mut Vec<Trial>) {
        let wanted = dump(&self.twin("twin.db", 0));
        let path = self.start("once.db");
        let before = dump(&path);
        let ended = self.up_as_planned(&path, &Settings::default(), "at once", trials);
        let again = || dump(&self.twin("again.db", 0));
        record(trials, 4, "at once", self.outcome(&ended, &before, &wanted, &path, &again));
        if !matches!(ended, Ended::Done(_)) {
            return;
        }
        self.rerun(&path, "at once", trials);
        self.without_ledger(&path, "at once", trials);
    }

    /// The same with seeds, a migration at a time.
    fn stepwise(&mut self, trials: &mut Vec<Trial>) {
        let count = self.migrations.len();
        let wanted = dump(&self.twin("twin.db", count));
        let path = self.start("steps.db");
        for at in 0..count {
            let migration = self.migrations[at].clone();
            let before = dump(&path);
            let what = format!("up to {}", migration.title());
            let mut ended = self.up_as_planned(&path, &last(&migration.version), &what, trials);
            if let Ended::Failed(error, Lasting::Nothing) = &ended
                && error.contains("vanished")
                && dump(&path) == before
            {
                // The file loses an object or rows: it has to say so before it may.
                record(trials, 4, &what, Held::Refused(error.clone()));
                self.allow(at);
                ended = self.up_as_planned(&path, &last(&migration.version), &what, trials);
            }
            // A file without a statement is not run and not recorded.
            let idle = migration.is_blank() && ended == Ended::Nothing;
            if !matches!(ended, Ended::Done(_)) && !idle {
                let held = if ended.stopped() && dump(&path) == before {
                    Held::Refused(why(&ended))
                } else {
                    Held::Broken(format!("{ended:?}"))
                };
                return record(trials, 4, &what, held);
            }
            self.seeds.plant(&connect(&path), at);
        }
        let again = || dump(&self.twin("again.db", count));
        let held = self.compared(&wanted, &dump(&path), &again);
        record(trials, 4, "stepwise", held);
        self.rerun(&path, "stepwise", trials);
        self.without_ledger(&path, "stepwise", trials);
    }

    /// Law 5: stopped by hand, without a ledger.
    fn stopped(&self, stops: Stops, trials: &mut Vec<Trial>) {
        let boundary = self.start("boundary.db");
        let (count, mut number) = (self.migrations.len(), 0_usize);
        let every = match stops {
            Stops::Statements | Stops::Sample(..) => 1,
            Stops::Migrations(most) => count.div_ceil(most.max(1)).max(1),
        };
        for (at, migration) in self.migrations.iter().enumerate() {
            if at % every == 0 {
                let rest = || {
                    let path = self.copied(&boundary, "rest.db");
                    let connection = connect(&path);
                    for migration in &self.migrations[at..] {
                        plain(&connection, migration, migration.statements().len()).unwrap();
                    }
                    dump(&path)
                };
                let wanted = rest();
                let most = match stops {
                    Stops::Statements | Stops::Sample(..) => {
                        migration.statements().len().saturating_sub(1)
                    }
                    Stops::Migrations(_) => 0,
                };
                for statements in 0..=most {
                    number += 1;
                    if matches!(stops, Stops::Sample(of, from) if (number + from) % of != 0) {
                        continue;
                    }
                    let path = self.copied(&boundary, "stopped.db");
                    plain(&connect(&path), migration, statements).unwrap();
                    let what = format!("{} after statement {statements}", migration.title());
                    let before = dump(&path);
                    let ended = up(&path, &self.migrations, &Settings::default());
                    let held = self.outcome(&ended, &before, &wanted, &path, &rest);
                    let held = self.limited(held, migration, statements);
                    record(trials, 5, &what, held);
                }
            }
            let connection = connect(&boundary);
            plain(&connection, migration, migration.statements().len()).unwrap();
            self.seeds.plant(&connection, at);
        }
    }

    /// What became of a stop among the data statements at the head of a file whose schema changes had
    /// not begun. That they ran by hand cannot be known, and the file runs as a whole: a documented
    /// limit, counted apart.
    pub fn limited(&self, held: Held, migration: &Migration, statements: usize) -> Held {
        let class = |at: usize| classify(migration.statements()[at].text(&migration.text));
        let all = 0..migration.statements().len();
        let is_head = statements > 0
            && (0..statements).all(|at| !matches!(class(at), Class::Definition))
            && all.into_iter().any(|at| class(at) == Class::Definition);
        match held {
            Held::Broken(text) if is_head => Held::Refused(format!("limit: {text}")),
            held => held,
        }
    }

    /// Lets a migration lose rows and objects, as its header could.
    fn allow(&mut self, at: usize) {
        let mut migration = Migration::clone(&self.migrations[at]);
        for code in ["rows-lost", "object-lost"] {
            let reason = "for the test".into();
            migration.header.allow.push(Allowance { code: code.into(), reason });
        }
        self.migrations[at] = Arc::new(migration);
    }

    /// A copy of a database, under a name of its own.
    pub fn copied(&self, from: &Path, name: &str) -> PathBuf {
        let path = fresh(self.folder, name);
        if from.exists() {
            fs::copy(from, &path).unwrap();
        }
        path
    }

    /// Plans, carries out, and holds the two against each other (law 3).
    pub fn up_as_planned(
        &self,
        path: &Path,
        settings: &Settings,
        what: &str,
        trials: &mut Vec<Trial>,
    ) -> Ended {
        let Ok(planned) = plan(path, &self.migrations, settings) else {
            return up(path, &self.migrations, settings);
        };
        if planned.denials().next().is_some() {
            return up(path, &self.migrations, settings);
        }
        let wanted = foretold(&planned);
        let ended = carry(&planned);
        if let Ended::Done(done) = &ended {
            let held = if *done == wanted {
                Held::Yes
            } else {
                Held::Broken(format!("planned {wanted:?}, did {done:?}"))
            };
            record(trials, 3, what, held);
        }
        ended
    }

    /// Whether an `up` ended as plain SQL does, or stopped with everything as before.
    pub fn outcome(
        &self,
        ended: &Ended,
        before: &Dump,
        wanted: &Dump,
        path: &Path,
        again: &dyn Fn() -> Dump,
    ) -> Held {
        match ended {
            Ended::Done(_) | Ended::Nothing => self.compared(wanted, &dump(path), again),
            _ if ended.stopped() && dump(path) == *before => Held::Refused(why(ended)),
            _ => Held::Broken(format!("{ended:?}")),
        }
    }

    /// Equal, or different only where the plain SQL is different each time.
    fn compared(&self, wanted: &Dump, found: &Dump, again: &dyn Fn() -> Dump) -> Held {
        // A rebuild that changes nothing but the spelling of a definition is done before it runs.
        if wanted.respelt() == found.respelt() {
            return Held::Yes;
        }
        let words = ["random", "now", "current_", "unixepoch", "uuid"];
        let varies = |text: &str| words.iter().any(|word| text.to_lowercase().contains(word));
        if !self.migrations.iter().any(|migration| varies(&migration.text)) {
            return Held::Broken(differences(wanted, found));
        }
        // Rows that hold the time differ from one second to the next.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let other = again();
        let calm = |dump: &Dump| {
            let mut dump = dump.clone();
            for (table, rows) in &mut dump.rows {
                if other.rows.get(table) != wanted.rows.get(table) {
                    *rows = vec![format!("{} rows", rows.len())];
                }
            }
            dump
        };
        if calm(wanted) == calm(found) {
            Held::Yes
        } else {
            Held::Broken(differences(&calm(wanted), &calm(found)))
        }
    }

    fn rerun(&self, path: &Path, what: &str, trials: &mut Vec<Trial>) {
        let before = bytes(path);
        let ended = up(path, &self.migrations, &Settings::default());
        let held = if ended == Ended::Nothing && bytes(path) == before {
            Held::Yes
        } else {
            Held::Broken(format!("{ended:?}"))
        };
        record(trials, 1, what, held);
    }

    /// Whether what ran changes nothing at all, such as a CREATE … IF NOT EXISTS of what exists.
    fn are_needless(&self, path: &Path, done: &[(String, &'static str)]) -> bool {
        let before = dump(path);
        done.iter().filter(|(_, outcome)| *outcome != "recorded").all(|(title, _)| {
            let found = self.migrations.iter().find(|migration| migration.title() == *title);
            let path = self.copied(path, "needless.db");
            let migration = found.unwrap();
            let count = migration.statements().len();
            plain(&connect(&path), migration, count).is_ok() && dump(&path) == before
        })
    }

    fn without_ledger(&self, path: &Path, what: &str, trials: &mut Vec<Trial>) {
        drop_ledger(path);
        let before = dump(path);
        let ended = up(path, &self.migrations, &Settings::default());
        let after = dump(path);
        let held = match &ended {
            _ if after != before => Held::Broken(differences(&before, &after)),
            Ended::Done(done) if done.iter().all(|(_, outcome)| *outcome == "recorded") => {
                Held::Yes
            }
            Ended::Nothing => Held::Yes,
            // Nothing is left of it: the database is a new one.
            Ended::Done(_) if before.schema.is_empty() => Held::Yes,
            Ended::Done(done) if self.are_needless(path, done) => Held::Yes,
            Ended::Done(done) => Held::Broken(format!("ran {done:?}")),
            _ if ended.stopped() => Held::Refused(why(&ended)),
            _ => Held::Broken(format!("{ended:?}")),
        };
        let done = held == Held::Yes;
        record(trials, 2, what, held);
        if done {
            self.rerun(path, &format!("{what}, after the ledger was lost"), trials);
        }
    }
}

fn foretold(plan: &DatabasePlan) -> Vec<(String, &'static str)> {
    let word = |action: &Action, state: &str| match action {
        Action::Record(_) => "recorded",
        _ if state == "resumed" => "resumed",
        _ if state == "drift" => "healed",
        _ => "applied",
    };
    plan.actions()
        .map(|found| (found.title.clone(), word(&found.action, found.state.word())))
        .collect()
}

fn why(ended: &Ended) -> String {
    match ended {
        Ended::Refused(found) => found
            .iter()
            .map(|(code, text)| format!("{code}: {text}"))
            .collect::<Vec<_>>()
            .join("\n"),
        other => format!("{other:?}"),
    }
}

/// Notes a trial.
pub fn record(trials: &mut Vec<Trial>, law: u8, what: &str, held: Held) {
    trials.push(Trial { law, what: what.into(), held });
}
