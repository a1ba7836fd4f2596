//! `not-null`, `refused-with-rows`: what SQLite accepts on an empty table alone, by SQLite's own word.

use super::{lineage::Lineage, scene::Scene};
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
        let amount = scene.rows(live_of(lineage, &table));
        let Some(severity) = amount.weigh(Severity::Denied) else { continue };
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

/// The live table that a table of this name stands for.
fn live_of<'a>(lineage: &'a Lineage, name: &str) -> Option<&'a str> {
    let carrier = lineage.tables.iter().rfind(|carrier| carrier.name == name);
    let carrier = carrier
        .or_else(|| lineage.tables.iter().find(|carrier| carrier.live.as_deref() == Some(name)));
    carrier?.live.as_deref()
}
