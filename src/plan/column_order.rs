//! Statements that give or take values by position, where the columns of a table are in another order in
//! the live database than in the history: they would exchange values, and are refused.
//!
//! The order of columns is no difference of two schemas otherwise. The definitions that would run are run
//! in a scratch database with the live schema, so that the order is the one that each statement meets.

use super::{
    finding::{Finding, Severity},
    model::{Action, Assessment},
    order::Unit,
    scratch::Scratch,
    timeline::Timeline,
};
use crate::{
    Result,
    error::Place,
    schema::{ObjectKind, Schema},
    sql::Class,
};
use std::{collections::BTreeMap, sync::Arc};

/// Tables with their columns in order.
pub type Orders = BTreeMap<String, Vec<Arc<str>>>;

/// What would be exchanged by the statements that would run.
///
/// # Errors
/// SQLite's on the scratch database.
pub fn findings(
    units: &[Unit],
    timeline: &Timeline,
    live: &Schema,
    assessments: &[Assessment],
) -> Result<Vec<Finding>> {
    let by_version: BTreeMap<_, _> =
        units.iter().enumerate().map(|(at, unit)| (&unit.version, at)).collect();
    let planned = |found: &Assessment| match &found.action {
        Action::Statements(statements) => statements.iter().map(|it| it.index).collect(),
        _ => Vec::new(),
    };
    let acting: Vec<(usize, Vec<usize>)> = assessments
        .iter()
        .filter_map(|found| Some((*by_version.get(&found.version)?, planned(found))))
        .collect();
    let is_by_position = |(unit, statements): &(usize, Vec<usize>)| {
        let steps = timeline.of_unit(*unit);
        statements.iter().any(|&it| steps.get(it).is_some_and(|it| !it.trace.positions.is_empty()))
    };
    if timeline.first == *live || !acting.iter().any(is_by_position) {
        return Ok(Vec::new());
    }
    let base: Vec<String> = super::base::Base::whole(live).sql();
    let mut scratch = Scratch::new(&base)?;
    let mut found = Vec::new();
    for (unit, statements) in &acting {
        let file = &units[*unit].replayed;
        scratch.begin_file();
        for &index in statements {
            let Some(step) = timeline.of_unit(*unit).get(index) else { continue };
            let statement = &file.statements()[index];
            if let Some(difference) = difference(&step.trace.positions, scratch.schema()) {
                let place = Place::of(&file.path, &file.text, statement.span.start);
                found.push(finding(&units[*unit].title, place, &difference));
                break;
            }
            if step.class == Class::Definition {
                // What SQLite says of it is a finding of its own.
                drop(scratch.run(statement.text(&file.text))?);
            }
        }
    }
    Ok(found)
}

/// A table whose columns are in another order.
struct Difference {
    table: String,
    live: Vec<Arc<str>>,
    history: Vec<Arc<str>>,
}

fn difference(wanted: &Orders, live: &Schema) -> Option<Difference> {
    wanted.iter().find_map(|(table, history)| {
        let live = &live.get(ObjectKind::Table, table)?.columns;
        (live != history).then(|| Difference {
            table: table.clone(),
            live: live.clone(),
            history: history.clone(),
        })
    })
}

fn finding(title: &str, place: Place, it: &Difference) -> Finding {
    let message = format!(
        "`{title}` gives values by position, and the columns of table `{}` are in another order here: {} \
         (in the history: {})",
        it.table,
        it.live.join(", "),
        it.history.join(", ")
    );
    Finding::new("column-order", Severity::Denied, message)
        .about(title)
        .at(place)
        .hint("name the columns in that statement: `INSERT INTO … (a, b) SELECT a, b FROM …`")
}
