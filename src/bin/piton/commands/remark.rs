//! `backups show`, `pin`, `unpin` and `label`: one backup, and what is said about it.

use super::{Context, backups, selector};
use crate::{args::OfBackup, render::Report};
use anyhow::Result;
use piton::{
    project::Outcome,
    store::{Changed, Remark},
};
use serde_json::json;

/// Does what was asked with the backup that is meant.
pub fn run(context: &Context, action: &OfBackup) -> Result<Report> {
    let (id, remark) = match action {
        OfBackup::Show { id } => return backups::run(context, Some(id)),
        OfBackup::Pin { id } => (id, Remark::Pin),
        OfBackup::Unpin { id } => (id, Remark::Unpin),
        OfBackup::Label { id, word } => (id, Remark::Label(word.clone())),
    };
    let (backup, changed) = context.project.remark(&selector(id)?, &remark)?;
    let outcome = match changed {
        Changed::Yes => Outcome::Done,
        Changed::No => Outcome::NothingToDo,
    };
    Ok(Report::new(outcome, json!({ "backup": backup }), backups::line(&backup)))
}
