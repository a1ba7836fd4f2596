//! `quoted-text`: a double-quoted word that is no name, which SQLite silently takes for a text.
//!
//! `SELECT "client_id" FROM links` gives the text `client_id` for every row where the column is called
//! otherwise. Found by preparing the statement again without that leniency.

use super::scene::{Amount, At, Knowledge, Scene};
use crate::{
    plan::{
        finding::{Finding, Severity},
        scratch::Problem,
        timeline::Step,
        trace::quoted_text,
    },
    sql::{
        Class, fold,
        token::{Token, TokenKind, tokens, unquote},
    },
};
use std::collections::BTreeMap;

/// So many are reported of one file: data files have thousands.
const MOST: usize = 20;

/// The findings.
pub fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, step) in scene.statements() {
        let Some(problem) = &step.trace.quoted else { continue };
        let count = counts.entry(at.unit).or_default();
        *count += 1;
        if *count <= MOST {
            found.push(statement(scene, at, step, problem));
        }
    }
    found.extend(guards(scene));
    found
}

fn statement(scene: &Scene<'_>, at: At, step: &Step, problem: &Problem) -> Finding {
    let text = scene.text(at);
    let (word, offset) = misspelt(text, problem);
    let uses_rows = step.class == Class::Data && (!step.trace.reads.is_empty());
    let severity =
        if uses_rows && meets_rows(scene, step) { Severity::Denied } else { Severity::Warning };
    let message =
        format!("`\"{word}\"` is no column here, so SQLite takes it for the text '{word}'");
    let finding = scene.finding_within(at, offset, "quoted-text", severity, message);
    finding.hint(format!("correct the name, or write '{word}' if the text is meant"))
}

/// Whether any table that a statement reads or changes has rows in the live database.
fn meets_rows(scene: &Scene<'_>, step: &Step) -> bool {
    let trace = &step.trace;
    let read = trace.reads.iter().map(|(table, _)| table);
    let mut tables = read.chain(trace.updates.keys()).chain(&trace.deletes);
    matches!(scene.knowledge, Knowledge::Live(_))
        && tables.any(|table| match scene.rows(Some(table)) {
            Amount::Known(rows) => rows > 0,
            // A table under a name of its own in this run: its rows come from somewhere.
            Amount::Unknown => true,
        })
}

/// The double-quoted word that is meant, and where it is.
fn misspelt(text: &str, problem: &Problem) -> (String, usize) {
    let quoted: Vec<Token> =
        tokens(text).into_iter().filter(|token| token.kind == TokenKind::Quoted).collect();
    let spelt = |token: &Token| unquote(&text[token.span.clone()]);
    let here = quoted.iter().find(|token| token.span.contains(&problem.offset));
    let named = || {
        let said = fold(&problem.message);
        quoted.iter().find(|token| said.contains(&fold(&spelt(token))))
    };
    let token = here.or_else(named).or(quoted.first());
    token.map_or_else(Default::default, |token| (spelt(token), token.span.start))
}

/// Double-quoted words in the queries of a file's header.
fn guards(scene: &Scene<'_>) -> Vec<Finding> {
    let Knowledge::Live(connection) = scene.knowledge else { return Vec::new() };
    let mut found = Vec::new();
    for unit in scene.of_units() {
        let unit = &scene.units[unit[0].unit];
        for (directive, query) in unit.replayed.header.queries() {
            let Some(problem) = quoted_text(connection, query) else { continue };
            let (word, _) = misspelt(query, &problem);
            let message = format!(
                "`{}`: `{directive}: {query}`: `\"{word}\"` is no column, so SQLite takes it for the text '{word}'",
                unit.title
            );
            found.push(
                Finding::new("quoted-text", Severity::Denied, message)
                    .about(&unit.title)
                    .hint(format!("correct the name, or write '{word}' if the text is meant")),
            );
        }
    }
    found
}
