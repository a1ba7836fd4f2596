//! Whether a live schema needs a statement, has its effect already, or contradicts it.

use super::Effect;
use crate::schema::{Change, ObjectName, Part, Schema};

/// What a guard says of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The live schema is as the statement expects to find it.
    Needed,
    /// The live schema has the whole effect.
    Satisfied,
    /// Neither: for each such fact, what is there (`before`) and what the statement would leave.
    Conflict(Vec<Change>),
}

/// Compares an effect with a live schema, every fact of it with its whole definition. An object that
/// the statement makes must have just these facts: one more CHECK is another definition.
#[must_use]
pub fn verdict(effect: &Effect, live: &Schema) -> Verdict {
    let found = |change: &Change| live.fact(&change.object, &change.part).cloned();
    let surplus = surplus(effect, live);
    if surplus.is_empty() && effect.changes.iter().all(|change| found(change) == change.after) {
        return Verdict::Satisfied;
    }
    if effect.changes.iter().all(|change| found(change) == change.before) {
        return Verdict::Needed;
    }
    let contradictions = effect.changes.iter().filter(|change| found(change) != change.before);
    let contradictions =
        contradictions.map(|change| Change { before: found(change), ..change.clone() });
    Verdict::Conflict(
        contradictions.filter(|change| change.before != change.after).chain(surplus).collect(),
    )
}

/// Live facts of objects that the statement makes, beyond those that it would give them.
fn surplus(effect: &Effect, live: &Schema) -> Vec<Change> {
    let made = effect
        .changes
        .iter()
        .filter(|change| change.part == Part::Whole && change.before.is_none())
        .filter_map(|change| Some((&change.object, live.objects.get(&change.object)?)));
    let is_known = |object: &ObjectName, part: &Part| {
        effect.changes.iter().any(|change| change.object == *object && change.part == *part)
    };
    let mut found = Vec::new();
    for (name, object) in made {
        for (part, definition) in object.facts.iter().filter(|(part, _)| !is_known(name, part)) {
            found.push(Change {
                object: name.clone(),
                part: part.clone(),
                before: Some(definition.clone()),
                after: None,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, schema::Introspector};

    /// A schema from SQL, and the effect of one more statement.
    fn schema(sql: &str) -> Schema {
        let connection = database::open_scratch().unwrap();
        connection.execute_batch(sql).unwrap();
        Introspector::default().read(&connection).unwrap()
    }

    fn judge(base: &str, statement: &str, live: &str) -> Verdict {
        let effect = Effect::between(&schema(base), &schema(&format!("{base};{statement}")));
        verdict(&effect, &schema(live))
    }

    #[test]
    fn whole_definitions_decide() {
        let base = "CREATE TABLE t (a INT)";
        let add = "ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE";
        assert_eq!(judge(base, add, base), Verdict::Needed);
        let same = "create table T ([a] int, \"B\" text collate nocase default 'x' not null)";
        assert_eq!(judge(base, add, same), Verdict::Satisfied);
        for different in [
            "CREATE TABLE t (a INT, b TEXT)",
            "CREATE TABLE t (a INT, b TEXT NOT NULL DEFAULT 'X' COLLATE NOCASE)",
            "CREATE TABLE t (a INT, b TEXT NOT NULL DEFAULT 'x')",
            "CREATE TABLE t (a INT, b BLOB NOT NULL DEFAULT 'x' COLLATE NOCASE)",
        ] {
            assert!(matches!(judge(base, add, different), Verdict::Conflict(_)), "{different}");
        }
    }

    #[test]
    fn every_kind_of_fact_counts() {
        let cases = [
            ("CREATE TABLE t (a INT)", "CREATE TABLE t (a INT CHECK (a > 0))"),
            ("CREATE TABLE t (a INT)", "CREATE TABLE t (a INT UNIQUE)"),
            ("CREATE TABLE t (a INT)", "CREATE TABLE t (a INT) STRICT"),
            ("CREATE TABLE t (a INT PRIMARY KEY)", "CREATE TABLE t (a INTEGER PRIMARY KEY)"),
            ("CREATE TABLE t (a INT, b AS (a + 1))", "CREATE TABLE t (a INT, b AS (a + 2))"),
            ("CREATE TABLE t (a INT, b AS (a))", "CREATE TABLE t (a INT, b AS (a) STORED)"),
            (
                "CREATE TABLE t (a INTEGER PRIMARY KEY)",
                "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
            ),
            (
                "CREATE TABLE t (a INT PRIMARY KEY) WITHOUT ROWID",
                "CREATE TABLE t (a INT PRIMARY KEY)",
            ),
            (
                "CREATE TABLE t (a INT REFERENCES p(id))",
                "CREATE TABLE t (a INT REFERENCES p(id) ON DELETE CASCADE)",
            ),
            (
                "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
                "CREATE TABLE t (a); CREATE UNIQUE INDEX i ON t (a)",
            ),
            (
                "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
                "CREATE TABLE t (a); CREATE INDEX i ON t (a) WHERE a > 0",
            ),
            (
                "CREATE TABLE t (a); CREATE INDEX i ON t (a)",
                "CREATE TABLE t (a); CREATE INDEX i ON t (a DESC)",
            ),
            (
                "CREATE TABLE t (a); CREATE INDEX i ON t (lower(a))",
                "CREATE TABLE t (a); CREATE INDEX i ON t (upper(a))",
            ),
            ("CREATE VIEW v AS SELECT 'a' AS x", "CREATE VIEW v AS SELECT 'A' AS x"),
        ];
        for (wanted, live) in cases {
            assert!(matches!(judge("", wanted, live), Verdict::Conflict(_)), "{live}");
            assert_eq!(judge("", wanted, wanted), Verdict::Satisfied, "{wanted}");
        }
    }

    #[test]
    fn spelling_does_not_count() {
        let cases = [
            (
                "CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT UNIQUE)",
                "CREATE TABLE \"T\" (id integer, mail TEXT, PRIMARY KEY (id), UNIQUE ([mail]))",
            ),
            ("CREATE INDEX IF NOT EXISTS i ON t (a)", "create index I on \"t\" ( `a` )"),
            ("CREATE TABLE t (a VARCHAR(10))", "CREATE TABLE t (a varchar ( 10 ))"),
        ];
        for (wanted, live) in cases {
            let table = "CREATE TABLE IF NOT EXISTS t (a INT)";
            let base = if wanted.contains("INDEX") { table } else { "" };
            let live = format!("{base};{live}");
            assert_eq!(judge(base, wanted, &live), Verdict::Satisfied, "{live}");
        }
    }
}
