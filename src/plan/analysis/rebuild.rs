//! `rows-not-copied`, `column-not-copied`, `columns-swapped`, `values-cast`: a rebuild that loses what
//! it should carry over.

use super::{
    lineage::{CopyStep, Drop, Lineage},
    scene::{Amount, Knowledge, Scene, ask},
};
use crate::{
    plan::{
        finding::{Finding, Severity},
        trace::{Copied, Filler},
    },
    sql::{class, quote},
};

/// The findings.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    let mut found = Vec::new();
    for dropped in &lineage.drops {
        match (&dropped.rebuilt, dropped.remade) {
            (Some(rebuilt), _) => found.extend(not_filled(scene, lineage, dropped, rebuilt.heir)),
            (None, Some(heir)) => found.extend(not_copied(scene, lineage, dropped, heir)),
            (None, None) => {}
        }
    }
    for copy in &lineage.copies {
        let Some(copied) = &scene.step(copy.at).trace.copied else { continue };
        found.extend(swapped(scene, lineage, copy, copied));
        found.extend(cast(scene, lineage, copy, copied));
    }
    found
}

/// A table that takes the place of another one without its rows.
fn not_copied(
    scene: &Scene<'_>,
    lineage: &Lineage,
    dropped: &Drop,
    heir: usize,
) -> Option<Finding> {
    let (old, new) = (&lineage.tables[dropped.table], &lineage.tables[heir]);
    let amount = scene.rows(old.live.as_deref());
    // A table that was there before may have been filled by an earlier file.
    let filled_before = new.made.is_none() && scene.rows(new.live.as_deref()) != Amount::Known(0);
    let (code, severity) = if filled_before {
        ("destructive", Severity::Warning)
    } else {
        ("rows-not-copied", Severity::Denied)
    };
    let message = format!(
        "table `{}` goes with its {}, and nothing copies them to the table that takes its place",
        old.name,
        amount.of("row", "rows")
    );
    let severity = amount.weigh(severity)?;
    let finding = scene.finding(dropped.at, code, severity, message);
    Some(
        finding.hint(format!(
            "copy the rows before the DROP: `INSERT INTO … SELECT … FROM {}`",
            old.name
        )),
    )
}

/// Columns that both tables have and no statement copies.
fn not_filled<'a>(
    scene: &'a Scene<'_>,
    lineage: &'a Lineage,
    dropped: &'a Drop,
    at_heir: usize,
) -> impl Iterator<Item = Finding> + 'a {
    let heir = &lineage.tables[at_heir];
    let kept = dropped
        .uncopied
        .iter()
        .filter(|column| heir.columns.iter().any(|kept| kept.name == column.name));
    kept.filter_map(move |column| {
        let amount = scene.values(column.live.as_ref());
        let message = format!(
            "the rebuild of `{}` does not copy column `{}`, whose {} would be lost",
            heir.name,
            column.name,
            amount.of("value", "values")
        );
        // A value that is written out in its place is meant.
        let is_filled = is_filled(scene, lineage, at_heir, &column.name);
        let with_rows = if is_filled { Severity::Warning } else { Severity::Denied };
        let severity = amount.weigh(with_rows)?;
        let finding = scene.finding(dropped.at, "column-not-copied", severity, message);
        Some(finding.hint(format!("copy `{}` as well", column.name)))
    })
}

/// Whether a copy into a table gives a value to a column.
fn is_filled(scene: &Scene<'_>, lineage: &Lineage, table: usize, column: &str) -> bool {
    let mut copies = lineage.copies.iter().filter(|copy| copy.target == table);
    copies.any(|copy| {
        let copied = scene.step(copy.at).trace.copied.as_ref();
        copied.is_some_and(|copied| copied.pairs.iter().any(|(filled, _)| filled == column))
    })
}

/// Columns that get each other's values because they are matched by position.
fn swapped(
    scene: &Scene<'_>,
    lineage: &Lineage,
    copy: &CopyStep,
    copied: &Copied,
) -> Option<Finding> {
    let target = &lineage.tables[copy.target];
    let is_rebuild =
        target.made.is_some() || scene.rows(target.live.as_deref()) == Amount::Known(0);
    if copy.exchanged.is_empty() || !is_rebuild {
        return None;
    }
    let source = copy.sources.first().map(|&id| &lineage.tables[id]);
    let amount = scene.rows(source.and_then(|source| source.live.as_deref()));
    // With a list of columns written out, it may be meant.
    let by_position = copied.form.columns.is_none();
    let with_rows = if by_position { Severity::Denied } else { Severity::Warning };
    let severity = match scene.knowledge {
        Knowledge::New => Severity::Warning,
        _ => amount.weigh(with_rows)?,
    };
    let gets = |(filled, column): &(String, String)| format!("`{filled}` gets `{column}`");
    let wrong: Vec<String> = copy.exchanged.iter().map(gets).collect();
    let message =
        format!("the copy into `{}` exchanges columns: {}", copied.form.target, wrong.join(", "));
    let finding = scene.finding(copy.at, "columns-swapped", severity, message);
    Some(finding.hint("name the columns in both lists, in the same order"))
}

/// Values that a CAST changes on their way.
fn cast(scene: &Scene<'_>, lineage: &Lineage, copy: &CopyStep, copied: &Copied) -> Vec<Finding> {
    let mut found = Vec::new();
    let casts = class::mentions(&copied.form.query).contains("cast");
    for (filled, filler) in copied.pairs.iter().filter(|_| casts) {
        let Filler::Computed(columns) = filler else { continue };
        let [(table, column)] = Vec::from_iter(columns)[..] else { continue };
        if filled != column {
            continue;
        }
        let amount = match scene.knowledge {
            Knowledge::Live(connection) if copy.is_as_live => {
                changed(connection, copied, table, column)
            }
            _ => {
                let values = scene.values(live_of(lineage, copy, column));
                values.weigh(Severity::Note).map(|_| Amount::Unknown)
            }
        };
        let Some(amount) = amount else { continue };
        let Some(severity) = amount.weigh(Severity::Warning) else { continue };
        let message = format!(
            "a CAST of `{table}.{column}` changes {}",
            amount.of("value", "the values that are not of the new type")
        );
        found.push(scene.finding(copy.at, "values-cast", severity, message));
    }
    found
}

fn live_of<'a>(
    lineage: &'a Lineage,
    copy: &CopyStep,
    column: &str,
) -> Option<&'a (String, String)> {
    let mut columns = copy.sources.iter().flat_map(|&id| &lineage.tables[id].columns);
    columns.find(|found| found.name == column)?.live.as_ref()
}

/// How many values are another text after the copy; none where it is no plain copy of one table.
fn changed(
    connection: &rusqlite::Connection,
    copied: &Copied,
    table: &str,
    column: &str,
) -> Option<Amount> {
    let [_] = copied.form.sources[..] else { return None };
    let at = copied.pairs.iter().position(|(filled, _)| filled == column)?;
    let names: Vec<String> =
        (0..copied.pairs.len()).map(|number| format!("piton_{number}")).collect();
    // The copy keeps the old value in its last column, so that both are of one row.
    let (head, tail) = split_before_from(&copied.form.query)?;
    let query = format!(
        "WITH piton_copy({}, piton_old) AS ({head}, {table}.{column} {tail}) SELECT count(*) FROM piton_copy \
         WHERE piton_old IS NOT NULL AND CAST(piton_{at} AS TEXT) IS NOT CAST(piton_old AS TEXT)",
        names.join(", "),
        table = quote(&copied.form.sources[0].alias.clone().unwrap_or_else(|| table.into())),
        column = quote(column),
    );
    ask(connection, &query).map(Amount::Known)
}

/// A query in two parts: what it selects, and its FROM with what follows.
fn split_before_from(query: &str) -> Option<(&str, &str)> {
    use crate::sql::token::{TokenKind, tokens};
    let mut depth = 0_usize;
    for token in tokens(query) {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.checked_sub(1)?,
            _ if depth == 0 && token.is_word(query, "from") => {
                return Some(query.split_at(token.span.start));
            }
            _ => {}
        }
    }
    None
}
