//! Findings about statements that would run: what SQLite refused in the scratch database, and what
//! cannot run inside the transaction of a run.

use super::{
    finding::{Finding, Severity},
    order::Unit,
    scratch::Problem,
    timeline::Step,
};
use crate::{
    error::Place,
    sql::{Class, class, fold, token::tokens},
};
use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};
use std::collections::BTreeSet;

/// PRAGMAs that do nothing inside a transaction, or that only a fresh database obeys (SQLite's
/// documentation of each).
const LOST_PRAGMAS: [&str; 5] =
    ["journal_mode", "page_size", "auto_vacuum", "encoding", "synchronous"];

/// The findings about one statement.
pub fn statement(unit: &Unit, step: &Step, stand_ins: &BTreeSet<String>) -> Vec<Finding> {
    let migration = &unit.replayed;
    let span = migration.statements()[step.statement].span.clone();
    let text = &migration.text[span.clone()];
    let place = |offset: usize| Place::of(&migration.path, &migration.text, span.start + offset);
    let deny = |code, message: String, offset| {
        Finding::new(code, Severity::Denied, message).about(&unit.title).at(place(offset))
    };
    let mut found = Vec::new();
    if let Some(problem) = &step.problem {
        found.push(
            deny("sql", problem.message.clone(), offset(problem, text))
                .hint("correct the statement"),
        );
    }
    // Most histories need none, and a large file has many statements.
    let words = if stand_ins.is_empty() { BTreeSet::new() } else { class::mentions(text) };
    for name in stand_ins.iter().filter(|name| words.contains(&crate::sql::fold(name))) {
        let message = format!("`{name}` is a function or collation that only the application has");
        found.push(
            deny("unknown-function", message, 0)
                .hint("run it from the application, or write it as a script migration"),
        );
    }
    let shared = migration.shares_transaction();
    let own = "put it into a file of its own with `-- transaction: none`";
    match &step.class {
        Class::Vacuum if shared => {
            found.push(
                deny("in-transaction", "VACUUM cannot run inside a transaction".into(), 0)
                    .hint(own),
            );
        }
        Class::Pragma { name, argument: Some(_) }
            if shared && LOST_PRAGMAS.contains(&name.as_str()) =>
        {
            let message = format!("`PRAGMA {name}` does nothing inside a transaction");
            found.push(deny("in-transaction", message, 0).hint(own));
        }
        Class::Attach => {
            let message = "a migration works on one database, so it cannot ATTACH or DETACH".into();
            found.push(
                deny("attach", message, 0)
                    .hint("name the database in the header: `-- database: other.db`"),
            );
        }
        Class::Rollback => {
            let message = "ROLLBACK would take back more than this file".into();
            found.push(deny("rollback", message, 0).hint("remove the statement"));
        }
        _ => {}
    }
    found
}

/// A file that has not run and holds a down half of another tool: all of it would run.
pub fn down_half(unit: &Unit) -> Option<Finding> {
    let migration = &unit.replayed;
    let half = migration.down_half().filter(|_| !unit.is_in_ledger())?;
    let message = format!(
        "what follows `{}` is for going back ({}), and piton would run the whole file",
        half.mark, half.tool
    );
    let place = Place::of(&migration.path, &migration.text, half.offset);
    let stem = migration.path.file_stem().unwrap_or_default().to_string_lossy();
    let hint = format!(
        "move that line and what is for going back to `{stem}.down.sql`, which piton never runs: it goes back by \
         restoring a backup; if all of it is to run, write `-- allow: down-half REASON` at the top"
    );
    let finding = Finding::new("down-half", Severity::Denied, message);
    Some(finding.about(&unit.title).at(place).hint(hint))
}

/// Where SQLite found the problem; where it does not say, the first mention of the name that it
/// complains about.
fn offset(problem: &Problem, text: &str) -> usize {
    let Some((_, name)) = problem.message.rsplit_once(": ").filter(|_| problem.offset == 0) else {
        return problem.offset;
    };
    let wanted = fold(name.rsplit('.').next().unwrap_or(name));
    let found = tokens(text)
        .into_iter()
        .find(|token| token.name(text).is_some_and(|name| fold(&name) == wanted));
    found.map_or(0, |token| token.span.start)
}

/// The difference of two texts as a unified diff, its first forty lines.
pub fn text_diff(before: &str, after: &str) -> String {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let printer = BasicLineDiffPrinter(&input.interner);
    let text = diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input).to_string();
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    let mut shown = lines.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    if lines.len() > 40 {
        shown.push_str(&format!("\n  … and {} more lines", lines.len() - 40));
    }
    shown
}
