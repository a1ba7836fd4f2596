//! `not-null`, `refused-with-rows`: what SQLite accepts on an empty table alone, by SQLite's own word.

use super::{
    lineage::{Carrier, Lineage},
    scene::Scene,
};
use crate::{
    plan::finding::{Finding, Severity},
    schema::Part,
    sql::class,
};

/// The findings.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, step) in scene.statements() {
        let Some(problem) = &step.trace.with_a_row else { continue };
        let table = class::defined_object(scene.text(at)).map(|(_, name)| name).unwrap_or_default();
        let added = step
            .effect
            .changes
            .iter()
            .find(|change| matches!(change.part, Part::Column(_)) && change.before.is_none());
        let definition = added.and_then(|change| change.after.as_deref()).unwrap_or_default();
        let is_not_null = definition.contains(" not null") && !definition.contains(" default ");
        let code = if is_not_null { "not-null" } else { "refused-with-rows" };
        let Some(carrier) = carrier(lineage, &table) else { continue };
        let amount = scene.rows(carrier.live.as_deref());
        // A statement of this run may empty it before.
        let with_rows = if carrier.changed { Severity::Warning } else { Severity::Denied };
        let Some(severity) = amount.weigh(with_rows) else { continue };
        let message = format!(
            "SQLite refuses this on a table with rows, and `{table}` has {}: {}",
            amount.of("row", "rows as soon as it is in use"),
            problem.message
        );
        let hint = if is_not_null {
            "give the column a constant default, or add it without NOT NULL and fill it"
        } else {
            "give the column a constant default, or none, and fill it with an UPDATE"
        };
        found.push(scene.finding(at, code, severity, message).hint(hint));
    }
    found
}

/// The table of this name, or the one that had it in the live database.
fn carrier<'a>(lineage: &'a Lineage, name: &str) -> Option<&'a Carrier> {
    let named = lineage.tables.iter().rfind(|carrier| carrier.name == name);
    named.or_else(|| lineage.tables.iter().find(|carrier| carrier.live.as_deref() == Some(name)))
}
