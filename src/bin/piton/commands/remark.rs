//! `backups show`, `pin`, `unpin` and `label`: one backup, and what is said about it; `backups sync`.

use super::{Context, backups, offsite, selector};
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
        OfBackup::Sync { dry_run: true } => return offsite::plan(context),
        OfBackup::Sync { dry_run: false } => return offsite::sync(context),
        OfBackup::Show { id } => return backups::run(context, Some(id)),
        OfBackup::Pin { id } => (id, Remark::Pin),
        OfBackup::Unpin { id } => (id, Remark::Unpin),
        OfBackup::Label { id, word } => (id, Remark::Label(word.clone())),
    };
    let remarked = context.project.remark(&selector(id)?, &remark, &context.teller)?;
    let outcome = match remarked.changed {
        Changed::Yes => Outcome::Done,
        Changed::No => Outcome::NothingToDo,
    };
    let failure = remarked.offsite_failure.as_ref();
    let fields = json!({
        "backup": remarked.backup,
        "offsite_failure": failure.map(offsite::failure_to_json),
    });
    let report = Report::new(outcome, fields, backups::line(&remarked.backup, None));
    let caution = failure.map(|error| offsite::caution(error, &error.to_string()));
    Ok(report.with_problems(caution.unwrap_or_default()))
}
