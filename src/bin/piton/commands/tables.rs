//! `restore --only app.db:orders`: the preview of single tables, the question, the act.

use super::{
    Context, offsite, patience,
    restore::{asked, fetch},
    selector,
};
use crate::{
    args::Restore,
    interrupt::in_order,
    render::{Report, text},
};
use anyhow::Result;
use piton::{
    Error,
    error::TableError,
    project::{Outcome, Source, TablesReport},
    restore::{TableChange, TableFate, TablesPreview},
};
use serde_json::{Value, json};

/// Restores single tables, if they are what `--only` means.
pub fn restore(context: &Context, source: &Source, restore: &Restore) -> Result<Option<Report>> {
    let fetched = match restore.back.offsite && restore.only.iter().any(|text| text.contains(':')) {
        true => Some(Source::Named(selector(&fetch(context, source)?)?)),
        false => None,
    };
    let source = fetched.as_ref().unwrap_or(source);
    let (project, teller) = (&context.project, &context.teller);
    let Some(previewed) = project.preview_tables(source, &restore.only, teller)? else {
        return Ok(None);
    };
    refuse_flags(restore, &previewed)?;
    if previewed.outcome == Outcome::NothingToDo {
        let human = format!(
            "nothing to do: {} as in backup {}\n",
            if previewed.tables.tables.len() == 1 { "the table is" } else { "the tables are" },
            previewed.backup.id()
        );
        return Ok(Some(Report::new(Outcome::NothingToDo, fields(&previewed), human)));
    }
    let mut human = preview(&previewed.preview);
    if restore.back.dry_run {
        return Ok(Some(Report::new(Outcome::Done, fields(&previewed), human)));
    }
    let question = format!("restore {} from backup {}?", named(&previewed), previewed.backup.id());
    if !asked(context, &mut human, &question)? {
        let fields = fields(&previewed);
        return Ok(Some(Report::new(Outcome::NothingToDo, fields, "nothing was touched\n".into())));
    }
    let patience = patience(restore.back.wait);
    let report = in_order(|| project.restore_tables_previewed(previewed, patience, teller))?;
    human.push_str(&closing(&report));
    human.push_str(&offsite::line(report.offsite.as_ref()));
    let warning = offsite::warning(report.offsite.as_ref());
    Ok(Some(Report::new(Outcome::Done, fields(&report), human).with_problems(warning)))
}

/// Flags that need old files.
fn refuse_flags(restore: &Restore, report: &TablesReport) -> Result<()> {
    let (id, database) = (report.backup.id(), &report.tables.database);
    let flag = if restore.to.is_some() { "--to" } else { "--save-lost" };
    let way = match (&restore.to, &restore.back.save_lost) {
        (Some(folder), _) => format!(
            "`piton restore {id} --to {} --only /{database}` unpacks the whole database",
            folder.display()
        ),
        (None, Some(_)) => {
            "leave it out: the safety backup has the rows that go, and the end says what restores them"
                .into()
        }
        (None, None) => return Ok(()),
    };
    Err(Error::from(TableError::Flag { flag, way }).into())
}

fn named(report: &TablesReport) -> String {
    let names: Vec<String> =
        report.tables.tables.iter().map(|table| format!("`{table}`")).collect();
    format!("{} of {}", names.join(", "), report.tables.database)
}

/// What would change, in words.
fn preview(preview: &TablesPreview) -> String {
    let age = text::now() - chrono::TimeDelta::seconds(preview.age_seconds);
    let mut human = format!(
        "backup {} of {}\n",
        text::styled(text::STRONG, preview.backup.as_str()),
        text::ago(age, text::now())
    );
    for table in &preview.tables {
        human.push_str(&one(&preview.database.to_string(), table));
    }
    human
}

fn one(database: &str, table: &TableChange) -> String {
    let rows = |count: u64| match count {
        1 => "1 row".to_string(),
        _ => format!("{count} rows"),
    };
    let name = &table.table;
    if table.change == TableFate::Created {
        let mut human =
            format!("  {database}: {name} is missing and comes back, {}\n", rows(table.backup));
        if !table.created.is_empty() {
            human.push_str(&format!("    with {}\n", table.created.join(", ")));
        }
        return human;
    }
    let mut human = format!(
        "  {database}: {name}, {} now, {} then\n",
        rows(table.live.unwrap_or(0)),
        table.backup
    );
    let parts = [
        (table.comes_back, "come back", "comes back"),
        (table.changed, "get their values of then", "gets its values of then"),
        (table.renumbered, "get their row number of then", "gets its row number of then"),
        (table.goes, "are only there now and go", "is only there now and goes"),
    ];
    for (count, many, single) in parts.into_iter().filter(|(count, ..)| *count > 0) {
        let verb = if count == 1 { single } else { many };
        human.push_str(&format!("    {} {verb}\n", rows(count)));
    }
    if !table.silent_triggers.is_empty() {
        human.push_str(&format!(
            "    {} {}\n",
            text::styled(text::NOTICE, "triggers that do not fire:"),
            table.silent_triggers.join(", ")
        ));
    }
    for index in &table.search_indexes {
        let quoted = index.replace('"', "\"\"");
        human.push_str(&format!(
            "    {} `{index}`; build it again afterwards: INSERT INTO \"{quoted}\" (\"{quoted}\") VALUES ('rebuild')\n",
            text::styled(text::NOTICE, "a search index does not follow:")
        ));
    }
    human
}

fn closing(report: &TablesReport) -> String {
    let mut human = format!("{} {}\n", text::styled(text::GOOD, "restored"), named(report));
    if let Some(safety) = &report.safety {
        human.push_str(&format!("  the state before it is backup {safety}\n"));
    }
    if let Some(way) = &report.way_back {
        human.push_str(&text::next(&format!("piton status; to undo it: {way}")));
    }
    human
}

fn fields(report: &TablesReport) -> Value {
    let restored = report.safety.as_ref().map(|safety| {
        json!({
            "backup": report.backup.id(),
            "safety": safety,
            "tables": report.tables.tables,
            "undo": report.way_back,
        })
    });
    json!({
        "backup": report.backup.id(),
        "preview": report.preview,
        "restored": restored,
        "offsite": report.offsite.as_ref().map(offsite::to_json),
    })
}
