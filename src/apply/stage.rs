//! Stages: which neighbouring migrations share one transaction.

use crate::{
    history::Migration,
    plan::{Action, Assessment},
    sql::class,
};
use std::{collections::BTreeSet, sync::Arc};

/// One migration to act on, with its file.
pub(super) type Item<'a> = (&'a Assessment, &'a Arc<Migration>);

/// Whether what is done about a migration can share a transaction.
pub(super) fn shares(assessment: &Assessment, migration: &Migration) -> bool {
    match assessment.action {
        Action::Record(_) => true,
        Action::Statements(_) => migration.shares_transaction(),
        Action::Script | Action::None => false,
    }
}

/// Whether two neighbours run in one transaction.
pub(super) fn same_stage(first: &Item<'_>, second: &Item<'_>) -> bool {
    let enforced = |item: &Item<'_>| item.1.header.foreign_keys;
    shares(first.0, first.1) && shares(second.0, second.1) && enforced(first) == enforced(second)
}

/// Every word of the statements that would run.
pub(super) fn mentioned(stage: &[Item<'_>]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for (assessment, migration) in stage {
        if let Action::Statements(statements) = &assessment.action {
            let mut last = None;
            for planned in statements {
                let statement = &migration.statements()[planned.index];
                let is_same = statement.repeats && last.map(|last| last + 1) == Some(planned.index);
                if !is_same {
                    words.extend(class::mentions(statement.text(&migration.text)));
                }
                last = Some(planned.index);
            }
        }
    }
    words
}
