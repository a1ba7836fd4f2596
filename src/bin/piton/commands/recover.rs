//! `recover`: finishes or reverts an interrupted restore.

use super::Context;
use crate::render::{Report, text};
use anyhow::Result;
use piton::{lock::Patience, project::Outcome};
use serde_json::json;

/// Does it; nothing where no restore was interrupted.
pub fn run(context: &Context, patience: Patience) -> Result<Report> {
    let recovered = context.project.recover(patience, &context.teller)?;
    let Some(recovered) = recovered else {
        let human =
            format!("{}: no restore was interrupted\n", text::styled(text::GOOD, "nothing to do"));
        return Ok(Report::new(Outcome::NothingToDo, json!({}), human));
    };
    let direction = recovered.direction.word();
    let human = format!(
        "the restore of {} was rolled {direction}\n{}",
        recovered.backup,
        text::next("piton status")
    );
    Ok(Report::new(
        Outcome::Done,
        json!({ "backup": recovered.backup, "direction": direction }),
        human,
    ))
}
