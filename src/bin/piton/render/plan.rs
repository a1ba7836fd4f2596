//! Plans as text and JSON: states, what would run, findings.

use super::text::{BAD, FAINT, GOOD, NOTICE, STRONG, count, styled};
use piton::{
    guard::Effect,
    plan::{Action, Assessment, DatabasePlan, Finding, Severity, State, net_effect},
    schema::{ObjectKind, Part},
};
use serde_json::{Value, json};

/// A plan in JSON.
pub fn to_json(plan: &DatabasePlan) -> Value {
    json!({
        "target": plan.target,
        "database": plan.database,
        "exists": plan.exists,
        "position": plan.position,
        "migrations": plan.assessments.iter().map(assessment_json).collect::<Vec<_>>(),
        "findings": plan.findings,
    })
}

fn assessment_json(found: &Assessment) -> Value {
    let statements: Vec<Value> = match &found.action {
        Action::Statements(statements) => statements
            .iter()
            .map(|statement| json!({ "index": statement.index, "effect": effect_lines(&statement.effect) }))
            .collect(),
        _ => Vec::new(),
    };
    json!({
        "version": found.version,
        "file": found.title,
        "state": found.state,
        "known_by": found.witness,
        "action": action(found),
        "effects": net(found),
        "statements": statements,
    })
}

/// What the statements that would run change together.
fn net(found: &Assessment) -> Vec<String> {
    match (&found.action, &found.migration) {
        (Action::Statements(statements), Some(migration)) => net_effect(migration, statements),
        _ => Vec::new(),
    }
}

/// The word for what would be done.
fn action(found: &Assessment) -> &'static str {
    match (&found.action, found.state) {
        (Action::None, _) => "none",
        (Action::Record(_), _) => "record",
        (Action::Statements(_), State::Resumed) => "resume",
        (Action::Statements(_), State::Drift) => "heal",
        (Action::Statements(_), _) => "run",
        (Action::Script, _) => "run-script",
    }
}

/// Every database with its details; many of one target of which nothing is to be said are one line.
pub fn overview(plans: &[DatabasePlan], details: &dyn Fn(&DatabasePlan) -> String) -> String {
    const MANY: usize = 3;
    let mut text = String::new();
    for group in plans.chunk_by(|one, other| one.target == other.target) {
        let is_plain = |plan: &&DatabasePlan| {
            plan.findings.is_empty() && !plan.acts() && plan.position == group[0].position
        };
        let plain = group.iter().filter(is_plain).count();
        if plain > MANY {
            let version = group[0]
                .position
                .version
                .as_ref()
                .map_or_else(String::new, |at| format!(" at {at}"));
            text.push_str(&format!(
                "{}: {}{version}, all {} done\n",
                styled(STRONG, &group[0].target),
                count(plain, "database", "databases"),
                count(group[0].assessments.len(), "migration", "migrations"),
            ));
        }
        for plan in group.iter().filter(|plan| plain <= MANY || !is_plain(plan)) {
            text.push_str(&heading(plan));
            text.push_str(&details(plan));
        }
    }
    text
}

/// One line: the database and where it stands.
fn heading(plan: &DatabasePlan) -> String {
    let total = plan.assessments.len();
    let done = plan
        .assessments
        .iter()
        .filter(|found| {
            matches!(
                found.state,
                State::Applied
                    | State::Divergent
                    | State::Renumbered
                    | State::Missing
                    | State::Recorded
                    | State::Drift
            )
        })
        .count();
    let place = match (&plan.position.version, plan.exists) {
        (_, false) => "does not exist yet".to_string(),
        (None, true) if done == total && total > 0 => format!("all done ({})", source(plan)),
        (None, true) => format!("before the first migration ({})", source(plan)),
        (Some(version), true) if done == total => {
            format!("at {version}, the last ({})", source(plan))
        }
        (Some(version), true) => format!("at {version} ({})", source(plan)),
    };
    let name = styled(STRONG, &plan.database.display().to_string());
    format!("{name}: {place}, {done} of {} done\n", count(total, "migration", "migrations"))
}

fn source(plan: &DatabasePlan) -> &'static str {
    match plan.position.known_by {
        "ledger" => "by its ledger",
        "schema" => "by its schema",
        _ => "new",
    }
}

/// The migrations that are not simply applied, one per line.
pub fn states(plan: &DatabasePlan) -> String {
    let mut text = String::new();
    for found in plan.assessments.iter().filter(|found| found.state != State::Applied) {
        let style = match found.state {
            State::Pending | State::Resumed => NOTICE,
            State::Recorded => GOOD,
            _ => BAD,
        };
        let word = styled(style, &format!("{:<12}", found.state.word()));
        text.push_str(&format!("  {word} {}\n", found.title));
    }
    text
}

/// What would be done, with the effect of each statement.
pub fn steps(plan: &DatabasePlan) -> String {
    let mut text = String::new();
    for found in plan.actions() {
        let (verb, more) = match &found.action {
            Action::Record(_) => ("record", " (done already, nothing runs)".to_string()),
            Action::Script => ("run", " (script)".to_string()),
            Action::Statements(statements) => (
                action(found),
                format!(" ({})", count(statements.len(), "statement", "statements")),
            ),
            Action::None => continue,
        };
        let word = styled(NOTICE, &format!("{verb:<7}"));
        text.push_str(&format!("  {word} {}{}\n", found.title, styled(FAINT, &more)));
        for line in net(found) {
            let line = if line.starts_with("- ") { styled(BAD, &line) } else { line };
            text.push_str(&format!("            {line}\n"));
        }
    }
    text
}

/// An effect in short: an object that comes or goes is one line, a changed one a line per part.
fn effect_lines(effect: &Effect) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &effect.changes {
        let whole = effect
            .changes
            .iter()
            .find(|other| other.object == change.object && other.part == Part::Whole);
        let sign = match whole {
            Some(whole) if whole.before.is_none() => Some("+"),
            Some(whole) if whole.after.is_none() => Some("-"),
            _ => None,
        };
        match sign {
            Some(sign) if change.part == Part::Whole => {
                lines.push(format!("{sign} {}", change.object))
            }
            Some(_) => {}
            None if change.object.kind == ObjectKind::Table => lines.push(change.to_string()),
            None => lines.push(format!("~ {}", change.object)),
        }
    }
    lines
}

/// Findings, the worst first.
pub fn findings(plan: &DatabasePlan) -> String {
    plan.findings.iter().map(|found| finding(found, &plan.database.display().to_string())).collect()
}

/// One finding, with the line of the file that it is about.
pub fn finding(found: &Finding, database: &str) -> String {
    let word = match found.severity {
        Severity::Denied => styled(BAD, "refused"),
        Severity::Warning => styled(NOTICE, "warning"),
        Severity::Note => styled(FAINT, "note"),
    };
    let mut text = match &found.place {
        Some(place) => format!("{word} [{}] {database}: {place}: {}\n", found.code, found.message),
        None => format!("{word} [{}] {database}: {}\n", found.code, found.message),
    };
    if let Some(place) = &found.place {
        for line in place.drawing(78).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if let Some(hint) = &found.hint {
        text.push_str(&format!("  {} {hint}\n", styled(STRONG, "hint:")));
    }
    text
}
