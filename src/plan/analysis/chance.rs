//! `non-deterministic`: a data statement that gives another result at every run, by the functions that
//! SQLite says it calls.

use super::scene::Scene;
use crate::{
    plan::{
        finding::{Finding, Severity},
        timeline::StepKind,
    },
    sql::token::{TokenKind, tokens, unquote},
};

const CHANCE: [&str; 5] =
    ["random", "randomblob", "current_timestamp", "current_date", "current_time"];
const TIME: [&str; 7] =
    ["date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"];

/// The findings.
pub fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut last = None;
    for (at, step) in scene.statements().filter(|(_, step)| step.kind == StepKind::Data) {
        // One in a file is enough to know.
        if last == Some(at.unit) {
            continue;
        }
        let calls = |name: &&str| step.trace.functions.contains(*name);
        let text = scene.text(at);
        let is_now = || {
            tokens(text).iter().any(|token| {
                token.kind == TokenKind::Text
                    && unquote(&text[token.span.clone()]).eq_ignore_ascii_case("now")
            })
        };
        let time = || TIME.iter().any(&calls) && is_now();
        let source =
            CHANCE.into_iter().find(|name| calls(name)).or_else(|| time().then_some("now"));
        if let Some(source) = source {
            last = Some(at.unit);
            let message = format!("`{source}` gives another result at every run");
            found.push(scene.finding(at, "non-deterministic", Severity::Note, message));
        }
    }
    found
}
