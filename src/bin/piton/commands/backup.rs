//! `backup`: a backup now.

use super::{Context, offsite};
use crate::{
    interrupt::in_order,
    render::{Report, text},
};
use anyhow::Result;
use piton::{
    backup::Origin,
    lock::Patience,
    project::{BackupReport, Outcome},
};
use serde_json::json;

/// Takes it, or refers to an earlier one with the same content.
pub fn run(context: &Context, label: Option<String>, patience: Patience) -> Result<Report> {
    let report = in_order(|| context.project.backup(label, patience, &context.teller))?;
    Ok(render(&report, context))
}

fn render(report: &BackupReport, context: &Context) -> Report {
    let taken = &report.taken;
    let manifest = &taken.backup.manifest;
    let id = taken.backup.id();
    let archive = context.project.store().archive_path(id);
    let encrypted = if taken.backup.sealed.is_some() { ", encrypted" } else { "" };
    let (outcome, mut human) = match taken.origin {
        Origin::New => (
            Outcome::Done,
            format!(
                "{} {id}: {}, {}, {} in the archive{encrypted}, verified\n  {}\n",
                text::styled(text::GOOD, "backup"),
                text::count(manifest.databases.len(), "database", "databases"),
                text::count(manifest.files.len(), "file", "files"),
                text::bytes(taken.backup.archive_bytes),
                archive.display()
            ),
        ),
        Origin::Earlier => (
            Outcome::NothingToDo,
            format!("{}: {id} has the same content\n", text::styled(text::GOOD, "nothing to do")),
        ),
    };
    for note in &manifest.notes {
        human.push_str(&format!("  {} {note}\n", text::styled(text::NOTICE, "note:")));
    }
    human.push_str(&offsite::line(report.offsite.as_ref()));
    let fields = || {
        json!({
            "backup": taken.backup,
            "origin": taken.origin,
            "archive": archive,
            "offsite": report.offsite.as_ref().map(offsite::to_json),
        })
    };
    let warning = offsite::warning(report.offsite.as_ref());
    Report::lazily(context.screen, outcome, fields, human).with_problems(warning)
}
