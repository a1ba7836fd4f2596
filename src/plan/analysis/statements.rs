//! `sql`, `base`, `unknown-function`, `in-transaction`, `attach`, `rollback`, `ledger`: what SQLite refused in
//! the scratch database, what cannot run inside the transaction of a run, and what reaches piton's own table.

use super::scene::{At, Knowledge, Scene};
use crate::{
    plan::{
        finding::{Finding, Severity},
        scratch::Problem,
        timeline::StepKind,
    },
    sql::{Class, class, fold, token::tokens},
};
use std::collections::BTreeSet;

/// PRAGMAs that do nothing inside a transaction, or that only a fresh database obeys (SQLite's
/// documentation of each).
const LOST_PRAGMAS: [&str; 5] =
    ["journal_mode", "page_size", "auto_vacuum", "encoding", "synchronous"];

/// The findings.
pub fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let all = scene.steps.iter().filter(|at| scene.step(**at).kind != StepKind::Script);
    all.flat_map(|&at| statement(scene, at)).collect()
}

fn statement(scene: &Scene<'_>, at: At) -> Vec<Finding> {
    let (step, text) = (scene.step(at), scene.text(at));
    let deny = |code, message: String| scene.finding(at, code, Severity::Denied, message);
    let mut found = Vec::new();
    if let Some(problem) = &step.problem {
        found.push(refused(scene, at, problem));
    }
    // Most histories need none, and a large file has many statements.
    let stand_ins = &scene.timeline.stand_ins;
    let words = if stand_ins.is_empty() { BTreeSet::new() } else { class::mentions(text) };
    let without_database = matches!(scene.knowledge, Knowledge::Unknown);
    for name in stand_ins.iter().filter(|name| words.contains(&fold(name))) {
        let message = format!("`{name}` is a function or collation that only the application has");
        let severity = if without_database { Severity::Warning } else { Severity::Denied };
        found.push(
            scene
                .finding(at, "unknown-function", severity, message)
                .hint("run it from the application, or write it as a script migration"),
        );
    }
    // A trigger's body is compiled only when it fires, on the live database.
    if step.class == Class::Definition && class::has_name_with(text, "_piton_") {
        let message = "it names piton's own table, which says what ran".into();
        found.push(
            deny("ledger", message).hint("remove the statement; `piton adopt` says what ran"),
        );
    }
    let shared = scene.units[at.unit].replayed.shares_transaction();
    let own = "put it into a file of its own with `-- transaction: none`";
    match &step.class {
        Class::Vacuum if shared => {
            let message = "VACUUM cannot run inside a transaction".into();
            found.push(deny("in-transaction", message).hint(own));
        }
        Class::Pragma { name, argument: Some(_) }
            if shared && LOST_PRAGMAS.contains(&name.as_str()) =>
        {
            let message = format!("`PRAGMA {name}` does nothing inside a transaction");
            found.push(deny("in-transaction", message).hint(own));
        }
        Class::Attach => {
            let message = "a migration works on one database, so it cannot ATTACH or DETACH".into();
            found.push(
                deny("attach", message)
                    .hint("name the database in the header: `-- database: other.db`"),
            );
        }
        Class::Rollback => {
            let message = "ROLLBACK would take back more than this file".into();
            found.push(deny("rollback", message).hint("remove the statement"));
        }
        _ => {}
    }
    found
}

/// What SQLite refused. Without a database, an object that no migration makes may be the application's.
fn refused(scene: &Scene<'_>, at: At, problem: &Problem) -> Finding {
    let text = scene.text(at);
    let message = problem.message.clone();
    let absent = ["no such table", "no such view", "no such index", "no such trigger"];
    let may_be_base = matches!(scene.knowledge, Knowledge::Unknown)
        && absent.iter().any(|text| message.contains(text));
    let (code, severity, hint) = if may_be_base {
        let hint = "no migration makes it: check again where the application's database is";
        ("base", Severity::Warning, hint)
    } else {
        ("sql", Severity::Denied, "correct the statement")
    };
    scene.finding_within(at, offset(problem, text), code, severity, message).hint(hint)
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
