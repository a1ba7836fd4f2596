//! `backups`: the list, or one of them.

use super::{Context, selector};
use crate::render::{Report, text};
use anyhow::Result;
use piton::{
    error::StoreError,
    project::{DrillRecord, DrillResult, Outcome},
    store::{Backup, BackupId, is_in_future},
};
use serde_json::json;

/// Lists them, or shows the manifest of one.
pub fn run(context: &Context, id: Option<&str>) -> Result<Report> {
    if let Some(id) = id {
        let store = context.project.store();
        let backup = store.find(&selector(id)?)?;
        // Without an identity there is something to show all the same.
        let backup = match store.unseal(&backup) {
            Err(piton::Error::Store(StoreError::NoIdentity { .. })) => backup,
            other => other?.into_owned(),
        };
        let drills = context.project.drills().unwrap_or_default();
        let drill = drills.iter().rfind(|drill| drill.backup == *backup.id());
        return Ok(show(&backup, drill));
    }
    let catalog = context.project.backups()?;
    // What cannot be read says nothing.
    let drills = context.project.drills().unwrap_or_default();
    let proof = |backup: &Backup| {
        let mut drills = drills.iter().filter(|drill| drill.backup == *backup.id());
        drills.next_back()
    };
    let bytes = context.project.store().size()?;
    let mut human = String::new();
    for backup in &catalog.backups {
        human.push_str(&line(backup, proof(backup)));
    }
    for stray in &catalog.strays {
        human.push_str(&match stray.damaged {
            // The reason names the path.
            Some(_) if stray.newer => {
                format!("{} {}\n", text::styled(text::BAD, "unreadable:"), stray.reason)
            }
            Some(_) => format!("{} {}\n", text::styled(text::BAD, "damaged:"), stray.reason),
            None => {
                let word = text::styled(text::NOTICE, "not a backup:");
                format!("{word} {} ({})\n", stray.path.display(), stray.reason)
            }
        });
    }
    let in_future: Vec<&BackupId> =
        catalog.backups.iter().filter(|it| is_dated_ahead(it)).map(Backup::id).collect();
    for id in &in_future {
        let word = text::styled(text::NOTICE, "in the future:");
        human.push_str(&format!(
            "{word} {id} has a time that has not come yet; `latest` and retention go by the order in \
             which backups were taken\n"
        ));
    }
    if !catalog.backups.is_empty() {
        let count = text::count(catalog.backups.len(), "backup", "backups");
        let root = context.project.store().root().display().to_string();
        human.push_str(&format!("{count}, {} in {root}\n", text::bytes(bytes)));
    }
    if catalog.backups.is_empty() {
        human.push_str("no backup yet\n");
        human.push_str(&text::next("piton backup"));
    } else {
        human.push_str(&text::next("piton restore ID puts one back, piton backups ID shows it"));
    }
    let strays: Vec<_> = catalog
        .strays
        .iter()
        .map(
            |stray| json!({ "path": stray.path, "reason": stray.reason, "damaged": stray.damaged, "newer": stray.newer }),
        )
        .collect();
    let drilled: Vec<_> = catalog.backups.iter().filter_map(proof).collect();
    let fields = json!({
        "backups": catalog.backups,
        "drills": drilled,
        "in_future": in_future,
        "strays": strays,
        "directory_bytes": bytes,
    });
    Ok(Report::new(Outcome::Done, fields, human))
}

/// One line about a backup.
pub fn line(backup: &Backup, drill: Option<&DrillRecord>) -> String {
    let manifest = &backup.manifest;
    let positions: Vec<&str> =
        manifest.databases.iter().filter_map(|database| database.position.as_deref()).collect();
    let at = match positions.as_slice() {
        [] => String::new(),
        [one] => format!(", at {one}"),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => format!(", at {first}"),
        _ => ", at several positions".into(),
    };
    let what = match &backup.sealed {
        Some(_) if manifest.databases.is_empty() => "encrypted".into(),
        _ => text::count(manifest.databases.len(), "database", "databases"),
    };
    let pinned = if backup.pinned { "  pinned" } else { "" };
    let label = backup.label.as_ref().map(|label| format!("  {label}")).unwrap_or_default();
    let proof = drill.map_or_else(String::new, |drill| match drill.result {
        DrillResult::Proved => format!("  proved {}", text::ago(drill.at, text::now())),
        _ => format!("  {}", text::styled(text::BAD, "not proved")),
    });
    format!(
        "{}  {:<6} {:>9}  {}{at}  {}{proof}{pinned}{label}\n",
        text::styled(text::STRONG, backup.id().as_str()),
        reason(backup),
        text::bytes(backup.archive_bytes),
        what,
        match is_dated_ahead(backup) {
            true => "in the future".into(),
            false => text::ago(manifest.created, text::now()),
        },
    )
}

/// Whether the clock was ahead when it was taken, or is behind now.
fn is_dated_ahead(backup: &Backup) -> bool {
    is_in_future(backup.manifest.created, text::now())
}

fn reason(backup: &Backup) -> String {
    let word = serde_json::to_value(backup.manifest.reason).unwrap_or_default();
    word.as_str().unwrap_or_default().to_string()
}

/// The report of one backup.
pub fn show(backup: &Backup, drill: Option<&DrillRecord>) -> Report {
    let manifest = &backup.manifest;
    let mut human = line(backup, drill);
    human.push_str(&format!(
        "taken {} on {} with piton {}\n",
        manifest.created.format("%Y-%m-%d %H:%M:%S UTC"),
        manifest.host,
        manifest.piton_version
    ));
    human.push_str(&format!("verified {}\n", backup.verified.format("%Y-%m-%d %H:%M:%S UTC")));
    if let Some(sealed) = &backup.sealed {
        human.push_str(&format!("encrypted to {}\n", sealed.recipients.join(", ")));
        if manifest.files.is_empty() && manifest.databases.is_empty() {
            human.push_str(&text::next("piton backups ID --identity FILE shows what is in it"));
            return Report::new(Outcome::Done, json!({ "backup": backup }), human);
        }
    }
    for database in &manifest.databases {
        let rows: u64 = database.facts.rows.values().sum();
        let at = database.position.as_deref().map_or_else(String::new, |at| format!(", at {at}"));
        human.push_str(&format!(
            "  {}  {}  {} in {}{at}\n",
            database.path,
            text::bytes(database.size),
            text::count(usize::try_from(rows).unwrap_or(usize::MAX), "row", "rows"),
            text::count(database.facts.rows.len(), "table", "tables"),
        ));
    }
    human.push_str(&format!(
        "  and {}\n",
        text::count(manifest.files.len(), "other entry", "other entries")
    ));
    for note in &manifest.notes {
        human.push_str(&format!("  {} {note}\n", text::styled(text::NOTICE, "note:")));
    }
    Report::new(Outcome::Done, json!({ "backup": backup }), human)
}
