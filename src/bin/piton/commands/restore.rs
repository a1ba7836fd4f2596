//! `restore` and `rollback`: the preview, the question, the act.

use super::{Context, offsite, patience, selector, tables};
use crate::{
    args::{Back, Restore, Rollback},
    interrupt::in_order,
    render::{Report, terminal, text},
};
use anyhow::Result;
use piton::{
    error::ProjectError,
    project::{Outcome, RestoreOptions, RestoreReport, RolledBack, Source, UndoReport},
    restore::{
        AccessChange, Change, DatabaseChange, Gate, Preview, Restored, Rows, Saved, SavedRows,
    },
    store::{Selector, StoredPath},
};
use serde_json::json;
use std::path::PathBuf;

/// Puts a named backup back, or undoes the last restore.
pub fn run(context: &Context, restore: &Restore) -> Result<Report> {
    if restore.undo {
        return undo(context, &restore.back);
    }
    let source = Source::Named(chosen(restore)?);
    if let Some(report) = tables::restore(context, &source, restore)? {
        return Ok(report);
    }
    if let Some(folder) = &restore.to {
        let id = match restore.back.offsite {
            true => selector(&fetch(context, &Source::Named(chosen(restore)?))?)?,
            false => chosen(restore)?,
        };
        let backup = context.project.restore_to(&id, folder, &restore.only, &context.teller)?;
        let human = format!(
            "{} {} into {}\n",
            text::styled(text::GOOD, "unpacked"),
            backup.id(),
            folder.display()
        );
        return Ok(Report::new(
            Outcome::Done,
            json!({ "backup": backup.id(), "folder": folder }),
            human,
        ));
    }
    put_back(context, &source, &restore.only, (&restore.back, Loss::Named))
}

/// Puts back what the last run backed up.
pub fn rollback(context: &Context, rollback: &Rollback) -> Result<Report> {
    let loss = if rollback.lose_rows { Loss::Named } else { Loss::Refused };
    let report = put_back(context, &Source::LastRun, &[], (&rollback.back, loss));
    match report {
        // Typed again, it has done what was asked for.
        Err(error) if is_back_already(&error) => {
            let human = format!(
                "nothing to do: {error}\n{}",
                text::next("piton backups lists older states, piton restore ID restores one")
            );
            Ok(Report::new(Outcome::NothingToDo, json!({ "backup": null }), human))
        }
        other => other,
    }
}

fn is_back_already(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<piton::Error>();
    matches!(
        error,
        Some(piton::Error::Project(
            ProjectError::AlreadyBack { .. } | ProjectError::NeverBegan { .. }
        ))
    )
}

/// What is done about rows that were written since a run, where nobody is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// They must be saved, or be given up with a word.
    Refused,
    /// The backup was named, or the word was said.
    Named,
}

fn put_back(
    context: &Context,
    source: &Source,
    only: &[String],
    (back, loss): (&Back, Loss),
) -> Result<Report> {
    let options = RestoreOptions {
        only: only.to_vec(),
        gate: if back.hot { Gate::Hot } else { Gate::Refuse },
        patience: patience(back.wait),
    };
    let fetched = match back.offsite {
        true => Some(Source::Named(selector(&fetch(context, source)?)?)),
        false => None,
    };
    let source = fetched.as_ref().unwrap_or(source);
    let previewed = context.project.preview_restore(source, &options, &context.teller)?;
    if previewed.outcome == Outcome::NothingToDo {
        return as_it_is(context, previewed, &options);
    }
    let mut human = previewed.run.as_ref().map(rolled_back).unwrap_or_default();
    human.push_str(&preview(&previewed.preview));
    if back.dry_run {
        return Ok(Report::new(Outcome::Done, fields(&previewed), human));
    }
    if context.screen.yes && loss == Loss::Refused && back.save_lost.is_none() {
        refuse_rows_since(previewed.run.as_ref())?;
    }
    let question = format!("put backup {} back over the live data?", previewed.backup.id());
    if !asked(context, &mut human, &question)? {
        return Ok(Report::new(
            Outcome::NothingToDo,
            fields(&previewed),
            "nothing was touched\n".into(),
        ));
    }
    // What was confirmed is put back, whatever `latest` means by now, and only what was named goes.
    let (project, save_lost) = (&context.project, back.save_lost.as_deref());
    let report =
        in_order(|| project.restore_previewed(previewed, &options, save_lost, &context.teller))?;
    if let Some(restored) = &report.restored {
        human.push_str(&closing(restored));
    }
    human.push_str(&offsite::line(report.offsite.as_ref()));
    let warning = offsite::warning(report.offsite.as_ref());
    Ok(Report::new(Outcome::Done, fields(&report), human).with_problems(warning))
}

/// The backup that is meant.
fn chosen(restore: &Restore) -> Result<Selector> {
    let of_time = match (&restore.at, &restore.before) {
        (Some(at), _) => Selector::at(at),
        (None, Some(before)) => Selector::before(before),
        (None, None) => return selector(&restore.id),
    };
    Ok(of_time.map_err(piton::Error::from)?)
}

/// Which run it is, and how long ago it was.
fn rolled_back(run: &RolledBack) -> String {
    let started = run.started.format("%Y-%m-%d %H:%M:%S UTC");
    let age = chrono::Utc::now() - chrono::TimeDelta::seconds(run.age_seconds);
    let mut human =
        format!("rollback of the run of {started}, {}\n", text::ago(age, chrono::Utc::now()));
    for it in &run.databases {
        let all: Vec<&str> =
            it.committed.iter().chain(&it.unfinished).map(String::as_str).collect();
        if !all.is_empty() {
            human.push_str(&format!("  {}: {}\n", it.database.display(), all.join(", ")));
        }
    }
    human
}

/// Nobody is asked, so what was written since the run must not go without a word.
fn refuse_rows_since(run: Option<&RolledBack>) -> Result<()> {
    match run {
        Some(run) if run.rows_since > 0 => {
            let started = run.started.format("%Y-%m-%d %H:%M:%S UTC").to_string();
            let error = ProjectError::RowsSince { rows: run.rows_since, started };
            Err(piton::Error::from(error).into())
        }
        _ => Ok(()),
    }
}

/// The data is as the backup has it: nothing is asked, replaced or backed up.
fn as_it_is(
    context: &Context,
    previewed: RestoreReport,
    options: &RestoreOptions,
) -> Result<Report> {
    let report = context.project.restore_previewed(previewed, options, None, &context.teller)?;
    let human = format!("nothing to do: the data is as in backup {}\n", report.backup.id());
    Ok(Report::new(Outcome::NothingToDo, fields(&report), human))
}

/// Makes sure that the backup is here, and gives its id.
pub fn fetch(context: &Context, source: &Source) -> Result<String> {
    Ok(context.project.fetch(source, &context.teller)?.backup.id().to_string())
}

fn undo(context: &Context, back: &Back) -> Result<Report> {
    let previewed = context.project.preview_undo(&context.teller)?;
    let Some(found) = &previewed.preview else { return Ok(undone(&previewed)) };
    let mut human =
        format!("undo of the restore of backup {}\n{}", previewed.backup, preview(found));
    if back.dry_run {
        return Ok(Report::new(Outcome::Done, undo_fields(&previewed), human));
    }
    let question = "undo the last restore?";
    if !asked(context, &mut human, question)? {
        let fields = undo_fields(&previewed);
        return Ok(Report::new(Outcome::NothingToDo, fields, "nothing was touched\n".into()));
    }
    let project = &context.project;
    let report =
        in_order(|| project.undo_previewed(previewed, patience(back.wait), &context.teller))?;
    let Some(restored) = &report.restored else { return Ok(undone(&report)) };
    human.push_str(&format!(
        "{} the restore of {}\n",
        text::styled(text::GOOD, "undone"),
        report.backup
    ));
    human.push_str(&details(restored));
    human.push_str(&text::next(&match &restored.safety {
        Some(id) => format!("piton status; the state before the undo again: piton restore {id}"),
        None => "piton status".into(),
    }));
    Ok(Report::new(Outcome::Done, undo_fields(&report), human))
}

/// What is said where the last restore was undone already.
fn undone(report: &UndoReport) -> Report {
    let human = format!(
        "nothing to do: the restore of backup {} was undone already\n{}",
        report.backup,
        text::next(&format!("piton restore {} restores it again", report.backup))
    );
    Report::new(Outcome::NothingToDo, undo_fields(report), human)
}

fn undo_fields(report: &UndoReport) -> serde_json::Value {
    json!({ "backup": report.backup, "preview": report.preview, "restored": report.restored })
}

/// Asks, after it has shown what about.
pub fn asked(context: &Context, human: &mut String, question: &str) -> Result<bool> {
    if !context.screen.yes && !context.screen.json && !context.screen.quiet {
        // Whoever is asked must see what about.
        eprint_human(human);
        human.clear();
    }
    context.screen.confirm(question)
}

/// Shows text where a person is asked about it.
pub fn eprint_human(text: &str) {
    // A closed pipe is no reason to stop.
    let _ = terminal::say(text);
}

/// What would change, in words.
pub fn preview(preview: &Preview) -> String {
    let age = text::now() - chrono::TimeDelta::seconds(preview.age_seconds);
    let mut human = format!(
        "backup {} of {}\n",
        text::styled(text::STRONG, preview.backup.as_str()),
        text::ago(age, text::now())
    );
    for database in &preview.databases {
        let verb = match database.change {
            Change::Created => "comes back",
            Change::Replaced => "is replaced",
            Change::Displaced => "is not in the backup and is set aside",
        };
        let at = match (&database.live_position, &database.backup_position) {
            (Some(live), Some(backup)) if live != backup => format!(", from {live} to {backup}"),
            (Some(live), None) => format!(", from {live}"),
            (None, Some(backup)) => format!(", to {backup}"),
            _ => String::new(),
        };
        human.push_str(&format!("  {} {verb}{at}\n", database.path));
        if let Some(reason) = &database.unreadable {
            human.push_str(&format!("    the live one cannot be read: {reason}\n"));
        }
        for (table, rows) in counted(database) {
            let say =
                |count: Option<u64>| count.map_or_else(|| "none".into(), |count| count.to_string());
            let say_lost = |count: Option<u64>, what: &str| {
                count
                    .filter(|count| *count > 0)
                    .map_or_else(String::new, |count| format!("; {count} {what}"))
            };
            let lost = say_lost(rows.only_live, "only now, would be lost")
                + &say_lost(rows.changed, "changed since");
            human.push_str(&format!(
                "    {table}: {} rows now, {} then{lost}\n",
                say(rows.live),
                say(rows.backup)
            ));
        }
    }
    let (back, away) = (preview.files_restored.len(), preview.files_displaced.len());
    if back + away > 0 {
        human.push_str(&format!(
            "  {} put back, {} set aside\n",
            text::count(back, "file", "files"),
            text::count(away, "file", "files")
        ));
    }
    human.push_str(&folders("folders that go:", &preview.folders_displaced));
    human.push_str(&folders(
        "folders that come or get another owner or mode:",
        &preview.folders_restored,
    ));
    if let Some(AccessChange { before, after }) = &preview.data_directory {
        human.push_str(&format!(
            "  the data directory itself: {}:{} {:o} becomes {}:{} {:o}\n",
            before.user, before.group, before.mode, after.user, after.group, after.mode
        ));
    }
    if let Some(reason) = &preview.uncounted {
        human.push_str(&format!("  the rows that would be lost are not counted: {reason}\n"));
    }
    if !preview.databases.is_empty() {
        for limit in &preview.limits {
            let what = "who has a database open is seen only in part:";
            human.push_str(&format!("  {} {limit}\n", text::styled(text::NOTICE, what)));
        }
    }
    for holder in &preview.holders {
        human.push_str(&format!("  {} {holder}\n", text::styled(text::NOTICE, "open:")));
    }
    human
}

/// A line with the first few folders; nothing where there is none.
fn folders(what: &str, folders: &[StoredPath]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> =
        folders.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
    if folders.len() > SHOWN {
        names.push(format!("and {} more", folders.len() - SHOWN));
    }
    match names.is_empty() {
        true => String::new(),
        false => format!("  {what} {}\n", names.join(", ")),
    }
}

/// The tables whose rows differ; piton's own is no news.
fn counted(database: &DatabaseChange) -> impl Iterator<Item = (&String, &Rows)> {
    database.tables.iter().filter(|(table, rows)| {
        let counted = rows.only_live.unwrap_or(0) + rows.changed.unwrap_or(0) > 0;
        !table.starts_with("_piton_") && (rows.live != rows.backup || counted)
    })
}

fn closing(restored: &Restored) -> String {
    let mut human = format!("{} {}\n", text::styled(text::GOOD, "restored"), restored.backup);
    human.push_str(&details(restored));
    human.push_str(&text::next("piton status; to take it back: piton restore --undo"));
    human
}

fn details(restored: &Restored) -> String {
    let mut human = String::new();
    for path in &restored.damaged {
        human.push_str(&format!("  {path} was damaged; it lies in {}\n", restored.undo.display()));
    }
    for path in &restored.hot {
        human.push_str(&format!("  {path} was written into while open\n"));
    }
    human.push_str(&not_owned(&restored.not_owned));
    if let Some(saved) = &restored.saved {
        human.push_str(&saved_rows(saved));
    }
    if let Some(safety) = &restored.safety {
        human.push_str(&format!("  the state before it is backup {safety}\n"));
    }
    human
}

/// What only root could have given to its owner.
fn not_owned(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 3;
    if paths.is_empty() {
        return String::new();
    }
    let shown = paths.iter().take(SHOWN).map(|path| match path.as_os_str() == "." {
        true => "the data directory itself".to_string(),
        false => format!("`{}`", path.display()),
    });
    let mut names: Vec<String> = shown.collect();
    if paths.len() > SHOWN {
        names.push(format!("and {} more", paths.len() - SHOWN));
    }
    format!(
        "  {} {} of another owner in the backup, which only root can set: {}\n",
        text::count(paths.len(), "path", "paths"),
        if paths.len() == 1 { "is" } else { "are" },
        names.join(", ")
    )
}

fn saved_rows(saved: &Saved) -> String {
    if saved.databases.is_empty() {
        return format!("  no row was lost; {} says so\n", saved.path.display());
    }
    let mut human = String::new();
    for SavedRows { database, file, lost } in &saved.databases {
        let all = usize::try_from(lost.rows + lost.changed).unwrap_or(usize::MAX);
        human.push_str(&format!(
            "  {} of {database} saved in {}\n",
            text::count(all, "row", "rows"),
            file.display()
        ));
        for reason in &lost.left_out {
            human.push_str(&format!("    {} {reason}\n", text::styled(text::NOTICE, "but:")));
        }
    }
    human
}

fn fields(report: &RestoreReport) -> serde_json::Value {
    json!({
        "backup": report.backup.id(),
        "run": report.run,
        "preview": report.preview,
        "restored": report.restored,
        "offsite": report.offsite.as_ref().map(offsite::to_json),
    })
}
