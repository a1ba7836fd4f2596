//! `check`: what is wrong or risky in a history, without asking any ledger.
//!
//! Every rule has a code; a file says `-- allow: CODE reason` where it means what it does.

use super::{
    finding::{Finding, Severity},
    inspect,
    order::{Unit, units},
    replay::replay,
    timeline::{Step, StepKind, Timeline},
};
use crate::{
    Result,
    error::Place,
    history::Migration,
    schema::{ObjectKind, Part, Schema},
    sql::{Class, class},
};
use std::{collections::BTreeSet, sync::Arc};

/// Whether migrations may hold data statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HouseRule {
    /// They may.
    #[default]
    Free,
    /// Migrations change schemas only, data operations lie in the scripts folder.
    SchemaOnly,
}

/// Checks a history. `live` gives the objects that the history did not make itself; an empty schema
/// where there is no database.
///
/// # Errors
/// SQLite's on the scratch database itself; what is wrong with a file is a finding.
pub fn check(
    migrations: &[Arc<Migration>],
    live: &Schema,
    rule: HouseRule,
) -> Result<Vec<Finding>> {
    let units = units(migrations, &[])?;
    let timeline = replay(&units, live)?;
    let mut findings = Vec::new();
    for (at, unit) in units.iter().enumerate() {
        let linter = Linter { unit, steps: timeline.of_unit(at), timeline: &timeline, rule };
        let found = linter.findings();
        findings.extend(found.into_iter().filter(|finding| !is_allowed(unit, finding)));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

fn is_allowed(unit: &Unit, finding: &Finding) -> bool {
    unit.replayed.header.allow.iter().any(|allow| allow.code == finding.code)
}

struct Linter<'a> {
    unit: &'a Unit,
    steps: &'a [Step],
    timeline: &'a Timeline,
    rule: HouseRule,
}

impl Linter<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = inspect::down_half(self.unit).into_iter().collect();
        for step in self.steps.iter().filter(|step| step.kind != StepKind::Script) {
            found.extend(self.statement(step));
            found.extend(self.destructive(step));
            found.extend(self.breaks_the_release(step));
            found.extend(self.strict_column(step));
            found.extend(self.chance(step));
        }
        found.extend(self.mixed());
        found.extend(self.undeclared());
        found.extend(self.lost());
        found
    }

    fn text(&self, step: &Step) -> &str {
        let migration = &self.unit.replayed;
        migration.statements()[step.statement].text(&migration.text)
    }

    fn finding(
        &self,
        code: &'static str,
        severity: Severity,
        message: String,
        step: &Step,
    ) -> Finding {
        let migration = &self.unit.replayed;
        let start = migration.statements()[step.statement].span.start;
        Finding::new(code, severity, message).about(&self.unit.title).at(Place::of(
            &migration.path,
            &migration.text,
            start,
        ))
    }

    /// What SQLite refused, and what cannot run in a transaction.
    fn statement(&self, step: &Step) -> Vec<Finding> {
        let mut found = inspect::statement(self.unit, step, &self.timeline.stand_ins);
        for finding in &mut found {
            if finding.code == "unknown-function" {
                finding.severity = Severity::Warning;
            }
            let absent = ["no such table", "no such view", "no such index", "no such trigger"];
            if finding.code == "sql" && absent.iter().any(|text| finding.message.contains(text)) {
                finding.code = "base";
                finding.severity = Severity::Warning;
                finding.hint = Some(
                    "no migration makes it: check again where the application's database is".into(),
                );
            }
        }
        found
    }

    fn destructive(&self, step: &Step) -> Option<Finding> {
        let text = self.text(step);
        let words = class::mentions(text);
        if step.class == Class::Data && words.contains("delete") && !words.contains("where") {
            let message = "every row of a table is deleted".into();
            return Some(self.finding("destructive", Severity::Warning, message, step));
        }
        let gone = step.effect.changes.iter().find(|change| {
            let piece = matches!(change.part, Part::Whole | Part::Column(_));
            change.object.kind == ObjectKind::Table && piece && change.after.is_none()
        })?;
        let stays = self.last_state(|other| other.object == gone.object && other.part == gone.part);
        if stays || self.is_renamed(step) {
            return None;
        }
        let what = match &gone.part {
            Part::Column(column) => format!("column `{column}` of {}", gone.object),
            _ => gone.object.to_string(),
        };
        // A table that this very file made is nobody's data.
        let made_here = self.steps.iter().any(|other| {
            other
                .effect
                .changes
                .iter()
                .any(|change| change.object == gone.object && change.before.is_none())
        });
        (!made_here).then(|| {
            self.finding(
                "destructive",
                Severity::Warning,
                format!("{what} is dropped with its data"),
                step,
            )
        })
    }

    /// Whether the last change in this file that matches leaves something there.
    fn last_state(&self, matches: impl Fn(&crate::schema::Change) -> bool) -> bool {
        let mut changes = self.steps.iter().flat_map(|step| &step.effect.changes);
        changes.rfind(|change| matches(change)).is_some_and(|change| change.after.is_some())
    }

    fn is_renamed(&self, step: &Step) -> bool {
        let text = self.text(step);
        class::renamed_table(text).is_some() || class::renamed_column(text).is_some()
    }

    fn breaks_the_release(&self, step: &Step) -> Option<Finding> {
        let text = self.text(step);
        let renamed = class::renamed_column(text).or_else(|| {
            // A rebuild renames a table that the same file made.
            let (old, new) = class::renamed_table(text)?;
            let ours = self.steps.iter().any(|other| {
                other
                    .effect
                    .changes
                    .iter()
                    .any(|change| *change.object.name == *old && change.before.is_none())
            });
            let back = self.steps.iter().any(|other| {
                other.effect.changes.iter().any(|change| {
                    *change.object.name == *old
                        && change.part == Part::Whole
                        && change.before.is_none()
                })
            });
            (!ours && !back).then_some((old, new))
        })?;
        let message = format!(
            "`{}` becomes `{}`: a release that still runs does not know the new name",
            renamed.0, renamed.1
        );
        Some(self.finding("rename", Severity::Note, message, step))
    }

    fn strict_column(&self, step: &Step) -> Option<Finding> {
        let words = class::mentions(self.text(step));
        let adds =
            step.class == Class::Definition && words.contains("alter") && words.contains("add");
        let column = step.effect.changes.iter().find(|change| {
            let definition = change.after.as_deref().unwrap_or_default();
            matches!(change.part, Part::Column(_))
                && change.before.is_none()
                && definition.contains(" not null")
                && !definition.contains(" default ")
                && !definition.contains(" as ")
        })?;
        let refused = step.problem.is_some() || adds;
        refused.then(|| {
            let message = format!(
                "{} is NOT NULL without a default: SQLite refuses it as soon as there are rows",
                column.part
            );
            self.finding("not-null", Severity::Warning, message, step)
        })
    }

    fn chance(&self, step: &Step) -> Option<Finding> {
        if step.class != Class::Data {
            return None;
        }
        let text = self.text(step).to_ascii_lowercase();
        let words = class::mentions(&text);
        let source = ["random", "randomblob", "current_timestamp", "current_date", "current_time"]
            .into_iter()
            .find(|word| words.contains(*word))
            .or_else(|| text.contains("'now'").then_some("now"))?;
        let message = format!("`{source}` gives another result at every run");
        Some(self.finding("non-deterministic", Severity::Note, message, step))
    }

    fn mixed(&self) -> Option<Finding> {
        let data = self.steps.iter().find(|step| step.kind == StepKind::Data)?;
        let schema = self.steps.iter().any(|step| step.kind == StepKind::Schema);
        if self.rule == HouseRule::SchemaOnly {
            // The copy of a rebuild is part of changing the schema.
            let own = self
                .steps
                .iter()
                .filter(|step| step.kind == StepKind::Data)
                .find(|step| !self.fills_what_it_makes(step))?;
            let message =
                "a data statement, and the house rule is that migrations change schemas only";
            let finding = self.finding("schema-only", Severity::Denied, message.into(), own);
            return Some(finding.hint("move it to a file in the scripts folder"));
        }
        let foreign = !self.fills_what_it_makes(data);
        (schema && foreign).then(|| {
            let message = "schema and data in one file: stopped in the middle, only the schema tells how far it came";
            self.finding("mixed", Severity::Note, message.into(), data)
                .hint("put the data statements into a file of their own, with a `skip-if:` line")
        })
    }

    /// Whether a data statement fills a table that its own file makes.
    fn fills_what_it_makes(&self, step: &Step) -> bool {
        let Some(table) = class::written_table(self.text(step)) else { return false };
        self.steps.iter().any(|other| {
            other.effect.changes.iter().any(|change| {
                *change.object.name == *table
                    && change.part == Part::Whole
                    && change.before.is_none()
            })
        })
    }

    /// Data that nothing but the ledger remembers.
    fn undeclared(&self) -> Option<Finding> {
        let only_data = !self.steps.is_empty()
            && self.steps.iter().all(|step| {
                matches!(step.kind, StepKind::Data | StepKind::Script | StepKind::Neutral)
            })
            && self.steps.iter().any(|step| step.kind != StepKind::Neutral);
        (only_data && self.unit.replayed.header.skip_if.is_none()).then(|| {
            Finding::new("no-guard", Severity::Note, "only the ledger will know whether it ran")
                .about(&self.unit.title)
                .hint("add a line `-- skip-if: SELECT …` that is true when it is done")
        })
    }

    /// Triggers, indexes and views that a rebuild takes along and does not bring back.
    fn lost(&self) -> Vec<Finding> {
        let mut gone = BTreeSet::new();
        let mut found = Vec::new();
        for step in self.steps {
            let dropped = class::defined_object(if step.kind == StepKind::Script {
                ""
            } else {
                self.text(step)
            });
            for change in step.effect.changes.iter().filter(|change| change.part == Part::Whole) {
                let by_name =
                    dropped.as_ref().is_some_and(|(_, name)| **name == *change.object.name);
                if change.object.kind != ObjectKind::Table && change.after.is_none() && !by_name {
                    gone.insert((change.object.clone(), step.statement));
                }
                if change.after.is_some() {
                    gone.retain(|(object, _)| *object != change.object);
                }
            }
        }
        for (object, statement) in gone {
            let Some(step) = self.steps.iter().find(|step| step.statement == statement) else {
                continue;
            };
            let table =
                class::defined_object(self.text(step)).map(|(_, name)| name).unwrap_or_default();
            // With a table that is gone for good, its indexes and triggers go too.
            let stays = self
                .last_state(|change| *change.object.name == *table && change.part == Part::Whole);
            if stays {
                let message =
                    format!("the {object} vanishes with the old table and is not created again");
                found.push(
                    self.finding("object-lost", Severity::Denied, message, step)
                        .hint(format!("create the {object} again after the rename")),
                );
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Version;
    use std::path::Path;

    fn codes(files: &[&str], rule: HouseRule) -> Vec<&'static str> {
        let migrations: Vec<Arc<Migration>> = files
            .iter()
            .enumerate()
            .map(|(at, text)| {
                let version = Version::parse(&(at + 1).to_string()).unwrap();
                let path = format!("{}.sql", at + 1);
                Arc::new(
                    Migration::from_sql(version, "", Path::new(&path), (*text).into()).unwrap(),
                )
            })
            .collect();
        let found = check(&migrations, &Schema::default(), rule).unwrap();
        found.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn every_rule() {
        let table = "CREATE TABLE t (a INT, b INT); CREATE INDEX i ON t (a);";
        let rebuild = "CREATE TABLE n (a INT); INSERT INTO n SELECT a FROM t; DROP TABLE t; \
            ALTER TABLE n RENAME TO t;";
        let cases: &[(&[&str], &[&str])] = &[
            (&[table], &[]),
            (&[table, rebuild], &["object-lost"]),
            (&[table, &format!("{rebuild} CREATE INDEX i ON t (a);")], &[]),
            (&[table, "DROP TABLE t;"], &["destructive"]),
            (&[table, "-- allow: destructive old\nDROP TABLE t;"], &[]),
            (&[table, "ALTER TABLE t DROP COLUMN b;"], &["destructive"]),
            (&[table, "ALTER TABLE t RENAME COLUMN b TO c;"], &["rename"]),
            (&[table, "UPDATE t SET a = random();"], &["non-deterministic", "no-guard"]),
            (&[table, "-- skip-if: SELECT 1\nUPDATE t SET a = 1;"], &[]),
            (&[table, "ALTER TABLE t ADD COLUMN c; UPDATE t SET c = a;"], &["mixed"]),
            (&[table, "UPDATE t SET nope = 1;"], &["sql", "no-guard"]),
            (&["ALTER TABLE users ADD COLUMN x;"], &["base"]),
            (&[table, "VACUUM;"], &["in-transaction"]),
            (&[table, "-- transaction: none\nVACUUM;"], &[]),
        ];
        for (files, expected) in cases {
            assert_eq!(codes(files, HouseRule::Free), *expected, "{files:?}");
        }
        assert_eq!(
            codes(&[table, rebuild, "UPDATE t SET a = 1;"], HouseRule::SchemaOnly),
            ["object-lost", "schema-only", "no-guard"]
        );
    }
}
