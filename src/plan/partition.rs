//! Long histories are replayed apart: tables that no statement mentions together go into scratch
//! databases of their own.
//!
//! SQLite reads the whole schema again at every ALTER TABLE, so the time of a replay grows with the
//! square of a history; apart it grows with its length. A statement sees every object that it
//! mentions, and renames reach only objects that mention the name: the effects are the same. Where
//! that is not certain (other kinds of statements, an error of any kind), the history is replayed as
//! a whole.

use super::{
    model::Image,
    replay::{kind, step},
    scratch::Scratch,
    timeline::{Step, StepKind, Timeline},
};
use crate::{
    Result,
    history::Migration,
    schema::{ObjectKind, Schema},
    sql::{Class, class, classify, fold},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Below this number of statements the gain is less than the cost of more databases.
pub const FROM: usize = 64;

/// The group of each statement, by unit; none for one that no database needs to see.
pub struct Partition {
    groups: Vec<Vec<Option<usize>>>,
}

impl Partition {
    /// Divides a history; none where it cannot be divided with certainty.
    pub fn of(migrations: &[Arc<Migration>]) -> Option<Self> {
        let mut words = Vec::with_capacity(migrations.len());
        let mut names = BTreeSet::new();
        for migration in migrations {
            if migration.is_script() {
                return None;
            }
            let mut of_file: Vec<Arc<BTreeSet<String>>> = Vec::new();
            for statement in migration.statements() {
                let text = statement.text(&migration.text);
                if let (true, Some(same)) = (statement.repeats, of_file.last()) {
                    of_file.push(same.clone());
                    continue;
                }
                let mentioned = Arc::new(mentioned(text)?);
                if is_creation(text) {
                    names.extend(class::defined_object(text).map(|(_, name)| name));
                }
                names.extend(class::renamed_table(text).map(|(_, new)| new));
                of_file.push(mentioned);
            }
            words.push(of_file);
        }
        let mut union = Union::default();
        let mut firsts = Vec::with_capacity(words.len());
        for of_file in &words {
            let mut of_statements = Vec::new();
            for (at, mentioned) in of_file.iter().enumerate() {
                if at > 0 && Arc::ptr_eq(mentioned, &of_file[at - 1]) {
                    of_statements.push(of_statements[at - 1]);
                    continue;
                }
                let mut own = mentioned.iter().filter(|word| names.contains(*word));
                let first = own.next();
                if first.is_none() && !mentioned.is_empty() {
                    return None;
                }
                own.for_each(|other| union.join(first.unwrap_or(other), other));
                of_statements.push(first);
            }
            firsts.push(of_statements);
        }
        let mut numbers = BTreeMap::new();
        let mut number = |name: &&String| {
            let next = numbers.len();
            *numbers.entry(union.root(name)).or_insert(next)
        };
        let groups = firsts
            .iter()
            .map(|of_file| of_file.iter().map(|first| first.as_ref().map(&mut number)).collect())
            .collect();
        Some(Self { groups })
    }

    /// Replays the statements, each in the database of its group; none at the first error.
    pub fn replay(&self, migrations: &[Arc<Migration>]) -> Result<Option<(Timeline, Apart)>> {
        let mut scratches: BTreeMap<usize, Scratch> = BTreeMap::new();
        let (mut steps, mut starts): (Vec<Step>, _) = (Vec::new(), Vec::new());
        let (mut mentioned, mut stand_ins) = (BTreeSet::new(), BTreeSet::new());
        for (unit, (migration, groups)) in migrations.iter().zip(&self.groups).enumerate() {
            starts.push(steps.len());
            for (number, (statement, group)) in
                migration.statements().iter().zip(groups).enumerate()
            {
                let text = statement.text(&migration.text);
                let Some(group) = group else {
                    steps.push(step(
                        (unit, number),
                        StepKind::Neutral,
                        classify(text),
                        Arc::default(),
                    ));
                    continue;
                };
                if !scratches.contains_key(group) {
                    scratches.insert(*group, Scratch::new(&[])?);
                }
                let Some(scratch) = scratches.get_mut(group) else { return Ok(None) };
                let repeated = steps.last().filter(|_| statement.repeats);
                if let Some(repeated) = repeated.and_then(Step::repeated) {
                    steps.push(repeated);
                    continue;
                }
                let Ok(shown) = scratch.run(text)? else { return Ok(None) };
                mentioned.extend(shown.effect.changes.iter().map(|change| change.object.clone()));
                let kind = kind(&shown);
                let mut step = step((unit, number), kind, shown.class, shown.effect);
                step.legacy = shown.legacy;
                step.trace = Arc::new(shown.trace);
                steps.push(step);
            }
        }
        starts.push(steps.len());
        for scratch in scratches.values_mut() {
            if !scratch.broken().is_empty() {
                return Ok(None);
            }
            stand_ins.append(&mut scratch.stand_ins);
        }
        let timeline = Timeline {
            steps,
            starts,
            first: Schema::default(),
            mentioned,
            broken: BTreeMap::new(),
            stand_ins,
        };
        Ok(Some((timeline, Apart { scratches: scratches.into_values().collect() })))
    }
}

/// The databases of a history that was replayed apart.
pub struct Apart {
    scratches: Vec<Scratch>,
}

impl Apart {
    /// One database with the schemas of all, by their final texts; none where that does not give
    /// exactly these texts.
    pub fn image(&self) -> Result<Option<Image>> {
        let rank = |kind: ObjectKind| match kind {
            ObjectKind::Table => 0,
            ObjectKind::Index => 1,
            ObjectKind::View => 2,
            ObjectKind::Trigger => 3,
            ObjectKind::Pragma => 4,
        };
        let mut objects: Vec<_> =
            self.scratches.iter().flat_map(|scratch| &scratch.schema().objects).collect();
        objects.sort_by_key(|(name, _)| rank(name.kind));
        let texts: Vec<String> = objects.iter().map(|(_, object)| object.sql.clone()).collect();
        let mut whole = Scratch::new(&texts)?;
        let same = whole.schema().objects.len() == objects.len()
            && objects.iter().all(|(name, object)| {
                whole.schema().objects.get(*name).is_some_and(|made| made.sql == object.sql)
            });
        Ok(if same { whole.image() } else { None })
    }
}

/// The words of a statement that could be names of objects; none where the statement is of a kind
/// that reaches beyond what it mentions.
pub fn mentioned(text: &str) -> Option<BTreeSet<String>> {
    let words = || {
        let words = class::mentions(text);
        let beyond = ["virtual", "temp", "temporary", "sqlite_master", "sqlite_schema"];
        let reaches = beyond.iter().any(|word| words.contains(*word));
        (!reaches).then_some(words)
    };
    match classify(text) {
        Class::Definition | Class::Data => words(),
        Class::TransactionControl => Some(BTreeSet::new()),
        Class::Pragma { name, .. } if name == "foreign_keys" => Some(BTreeSet::new()),
        _ => None,
    }
}

fn is_creation(text: &str) -> bool {
    fold(text.trim_start().get(..6).unwrap_or_default()) == "create"
}

/// Names that belong together.
#[derive(Default)]
struct Union {
    parents: HashMap<String, String>,
}

impl Union {
    fn root(&self, name: &str) -> String {
        let mut name = name;
        while let Some(parent) = self.parents.get(name) {
            name = parent;
        }
        name.to_string()
    }

    fn join(&mut self, one: &str, other: &str) {
        let (one, other) = (self.root(one), self.root(other));
        if one != other {
            self.parents.insert(other, one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::Version, plan::replay::replay_whole};
    use std::path::Path;

    fn history(files: &[&str]) -> Vec<Arc<Migration>> {
        let read = |(at, text): (usize, &&str)| {
            let version = Version::parse(&(at + 1).to_string()).unwrap();
            Arc::new(Migration::from_sql(version, "", Path::new("m.sql"), (*text).into()).unwrap())
        };
        files.iter().enumerate().map(read).collect()
    }

    #[test]
    fn apart_gives_the_same_timeline() {
        let cases: &[&[&str]] = &[
            &["CREATE TABLE a (x); CREATE TABLE b (y); ALTER TABLE a ADD COLUMN z; DROP TABLE b"],
            &[
                "BEGIN; CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); COMMIT",
                "CREATE TABLE other (b, a AS (1)); CREATE INDEX i ON other (a) WHERE a > 0",
                "ALTER TABLE p RENAME TO q; CREATE VIEW v AS SELECT * FROM c JOIN q ON q.id = c.p",
                "PRAGMA foreign_keys = OFF; CREATE TABLE n (id INTEGER PRIMARY KEY, k CHECK (k > 0)); \
                 INSERT INTO n SELECT id, 1 FROM q; DROP VIEW v; DROP TABLE q; ALTER TABLE n RENAME TO q",
                "CREATE TRIGGER t AFTER INSERT ON other BEGIN UPDATE c SET p = CASE 1 WHEN 1 THEN 2 END; END",
                "ALTER TABLE other RENAME TO another; ALTER TABLE c RENAME COLUMN p TO parent",
            ],
            &["CREATE TABLE \"A b\" (x TEXT COLLATE own); CREATE INDEX [A b i] ON \"a B\" (f(x))"],
        ];
        for files in cases {
            let migrations = history(files);
            let partition = Partition::of(&migrations).unwrap();
            let (apart, remains) = partition.replay(&migrations).unwrap().unwrap();
            let (whole, mut scratch) = replay_whole(&migrations, &Schema::default()).unwrap();
            assert_eq!(apart.starts, whole.starts);
            assert_eq!(apart.mentioned, whole.mentioned);
            assert_eq!(apart.stand_ins, whole.stand_ins);
            for (one, other) in apart.steps.iter().zip(&whole.steps) {
                assert_eq!(
                    (one.kind, &one.class, one.legacy),
                    (other.kind, &other.class, other.legacy)
                );
                assert_eq!(one.effect, other.effect);
            }
            assert!(remains.image().unwrap().is_some() && scratch.image().is_some());
        }
    }

    #[test]
    fn what_reaches_further_is_not_divided() {
        for text in [
            "CREATE VIRTUAL TABLE v USING fts5(a)",
            "CREATE TEMP TABLE t (a)",
            "PRAGMA legacy_alter_table = ON",
            "UPDATE sqlite_schema SET sql = ''",
            "DROP TABLE unknown",
            "VACUUM",
        ] {
            assert!(Partition::of(&history(&["CREATE TABLE a (x)", text])).is_none(), "{text}");
        }
    }
}
