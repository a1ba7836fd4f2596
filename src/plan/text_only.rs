//! Statements whose only effect is in the stored text of a table: a constraint that loses its name, a
//! rename that changes the case of letters alone. The facts of the schema are the same before and after
//! them, so the text tells whether they ran.

use super::{
    assess::{Verdict, Witnesses},
    timeline::{Step, StepKind},
};
use crate::{
    ledger::Witness,
    schema::{Object, ObjectKind},
    sql::{fold, token::tokens},
};

/// The stored text of a table before and after a statement, blanks and comments aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    table: String,
    before: String,
    after: String,
}

impl TextChange {
    /// The change of one object; none where its text is the same.
    pub fn between(before: &Object, after: &Object) -> Option<Self> {
        let (old, new) = (spelled(&before.sql), spelled(&after.sql));
        let table = fold(&after.name);
        (old != new).then_some(Self { table, before: old, after: new })
    }
}

/// A text as it is spelled, letter case included, with one blank between tokens.
fn spelled(text: &str) -> String {
    let all = tokens(text);
    let raw = all.iter().filter(|token| !token.is_blank()).map(|token| &text[token.span.clone()]);
    raw.collect::<Vec<_>>().join(" ")
}

/// Whether a step leaves nothing behind, neither in the facts nor in a text.
pub fn is_without_effect(step: &Step) -> bool {
    step.kind == StepKind::Neutral && step.problem.is_none() && step.trace.text.is_none()
}

impl Witnesses<'_> {
    /// Leaves out the statements that would run and whose only effect is in the text already.
    pub(super) fn settle_texts(&self, verdicts: &mut [Verdict]) {
        for (at, verdict) in verdicts.iter_mut().enumerate() {
            let range = self.timeline.starts[at]..self.timeline.starts[at + 1];
            let runs: Vec<usize> = match &*verdict {
                Verdict::Pending => range.collect(),
                Verdict::Resumed(steps) => steps.clone(),
                _ => continue,
            };
            let (done, rest): (Vec<usize>, Vec<usize>) =
                runs.into_iter().partition(|&step| self.is_in_text(step));
            let Some(last) = done.last() else { continue };
            let has_data = rest
                .iter()
                .any(|step| step < last && self.timeline.steps[*step].kind == StepKind::Data);
            *verdict = if has_data {
                let reason = "its change of a text is there, but nothing tells whether the data statements before it ran";
                self.by_guard(&self.units[at], reason)
            } else if rest.iter().all(|&step| is_without_effect(&self.timeline.steps[step])) {
                Verdict::Recorded(Witness::Schema)
            } else {
                Verdict::Resumed(rest)
            };
        }
    }

    /// Whether the text is as a step leaves it.
    fn is_in_text(&self, step: usize) -> bool {
        let Some(change) = &self.timeline.steps[step].trace.text else { return false };
        let live = self.live.get(ObjectKind::Table, &change.table);
        live.is_some_and(|live| spelled(&live.sql) == change.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_a_change_of_text() {
        let object = |sql: &str| Object {
            name: "T".into(),
            table: "t".into(),
            sql: sql.into(),
            facts: BTreeMap::new(),
            columns: Vec::new(),
        };
        for (before, after, differs) in [
            (
                "CREATE TABLE t(a CONSTRAINT x CHECK (a > 0))",
                "CREATE TABLE t(a CHECK (a > 0))",
                true,
            ),
            ("CREATE TABLE t(a)", "CREATE TABLE T(a)", true),
            ("CREATE TABLE t(a)", "CREATE TABLE t ( a ) -- comment", false),
        ] {
            let found = TextChange::between(&object(before), &object(after));
            assert_eq!(found.is_some(), differs, "{after}");
        }
    }
}
