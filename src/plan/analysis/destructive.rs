//! `destructive`: a table or column that goes with its values, or every row of a table.
//!
//! A table whose rows were copied before, as in a rebuild, takes nothing with it; nor does a table
//! that the same file made.

use super::{
    lineage::{Drop, Lineage},
    scene::{Amount, Scene},
};
use crate::{
    plan::finding::{Finding, Severity},
    sql::token::tokens,
};

/// The findings.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let mut found = Vec::new();
    for dropped in lineage.drops.iter().filter(|dropped| dropped.remade.is_none()) {
        match &dropped.rebuilt {
            Some(rebuilt) => found.extend(left_out(scene, lineage, dropped, rebuilt.heir)),
            None => found.extend(table(scene, lineage, dropped)),
        }
    }
    for dropped in lineage.columns.iter().filter(|dropped| !dropped.is_new) {
        let amount = scene.values(dropped.column.live.as_ref());
        let message = format!(
            "column `{}` of table `{}` goes with its {}",
            dropped.column.name,
            dropped.table,
            amount.of("value", "values")
        );
        found.extend(
            warning(amount)
                .map(|severity| scene.finding(dropped.at, "destructive", severity, message)),
        );
    }
    found.extend(emptied(scene, lineage));
    found
}

fn warning(amount: Amount) -> Option<Severity> {
    amount.weigh(Severity::Warning)
}

/// A table that is dropped for good.
fn table(scene: &Scene<'_>, lineage: &Lineage, dropped: &Drop) -> Option<Finding> {
    let carrier = &lineage.tables[dropped.table];
    let everything_is_copied = dropped.is_copied && dropped.uncopied.is_empty();
    let is_own = carrier.made.is_some_and(|made| made.unit == dropped.at.unit);
    if everything_is_copied || is_own || is_derived(scene, &carrier.name) {
        return None;
    }
    let amount = scene.rows(carrier.live.as_deref());
    let copied = if dropped.is_copied {
        "; some of its columns were copied to another table before"
    } else {
        ""
    };
    let name = &carrier.name;
    let rows = amount.of("row", "rows");
    let message = format!("table `{name}` goes with its {rows}{copied}");
    warning(amount).map(|severity| scene.finding(dropped.at, "destructive", severity, message))
}

/// A virtual table without a table of its own for its content holds what others have: the index of
/// a search over another table, say.
fn is_derived(scene: &Scene<'_>, name: &str) -> bool {
    use crate::schema::ObjectKind;
    let Some(object) = scene.start.get(ObjectKind::Table, name) else { return false };
    let is_virtual = object.columns.is_empty();
    is_virtual && scene.rows(Some(&format!("{name}_content"))) == Amount::Unknown
}

/// The columns that a rebuild leaves out.
fn left_out<'a>(
    scene: &'a Scene<'_>,
    lineage: &'a Lineage,
    dropped: &'a Drop,
    heir: usize,
) -> impl Iterator<Item = Finding> + 'a {
    let heir = &lineage.tables[heir];
    let gone = dropped
        .uncopied
        .iter()
        .filter(|column| !heir.columns.iter().any(|kept| kept.name == column.name));
    gone.filter_map(|column| {
        let amount = scene.values(column.live.as_ref());
        let message = format!(
            "the rebuilt table `{}` leaves out column `{}`, which goes with its {}",
            heir.name,
            column.name,
            amount.of("value", "values")
        );
        let severity = warning(amount)?;
        Some(scene.finding(dropped.at, "destructive", severity, message))
    })
}

/// Statements that delete every row of a table.
fn emptied(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, step) in scene.statements() {
        let text = scene.text(at);
        let limits = || tokens(text).iter().any(|token| token.is_word(text, "where"));
        for table in step.trace.deletes.iter().filter(|_| !limits()) {
            let carrier = lineage
                .tables
                .iter()
                .find(|carrier| carrier.live.as_ref() == Some(table) || carrier.name == *table);
            let amount = scene.rows(carrier.and_then(|carrier| carrier.live.as_deref()));
            let rows = amount.of("row", "rows");
            let message = format!("every row of table `{table}` is deleted: {rows}");
            found.extend(
                warning(amount).map(|severity| scene.finding(at, "destructive", severity, message)),
            );
        }
    }
    found
}
