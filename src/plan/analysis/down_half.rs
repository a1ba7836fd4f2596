//! `down-half`: a file that holds what another tool would run only when it goes back. All of it would
//! run.

use crate::{
    error::Place,
    plan::{
        finding::{Finding, Severity},
        order::Unit,
    },
};

/// The finding about a file that has not run.
pub fn analyze(unit: &Unit) -> Option<Finding> {
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
