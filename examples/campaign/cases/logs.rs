//! Databases with logs that a crash has left: none without its own, none beside another's, at no
//! moment of a restore, an undo, or the way back from either.

use super::{Builder, Judged, plain, require, restores::UNDO, run};
use crate::{
    files::{copy_folder, names},
    hunt::Case,
    project::{Ended, Project},
    scenario::{Scenario, Way, interrupted},
    setup::Made,
    state::State,
};
use piton::rusqlite::Connection;
use std::{fs, path::Path};

pub(super) fn all<'a>(
    builder: &Builder<'_>,
    scenarios: &'a [Scenario],
    lived: &Project,
    id: &str,
) -> Made<Vec<Case<'a>>> {
    let scenario = |name: &str| {
        scenarios.iter().find(|it| it.name == name).ok_or_else(|| format!("no scenario `{name}`"))
    };
    let undo = scenario("undo")?;
    Ok(vec![
        orphaned(builder, lived, id)?,
        served(builder, lived, id)?,
        going_back(builder, scenario("restore")?)?,
        undo_back(builder, undo, "undo-back", None)?,
        undo_back(builder, undo, "undo-back-few-links", Some("pair-keep:1:1+"))?,
        undo_exactly(builder, undo)?,
        undo_stale(builder, lived, id)?,
    ])
}

/// A log whose database went after a restore was cut off does not lie beside the new one.
fn orphaned<'a>(builder: &Builder<'_>, lived: &Project, id: &str) -> Made<Case<'a>> {
    let template = builder.template("orphan")?;
    copy_folder(&lived.folder, &template.folder)?;
    interrupted(&template, &format!("restore {id} --yes"), 2, Way::Forward)?;
    fs::remove_file(template.data().join("notes.db"))?;
    template.write("data/notes.db-wal", "the log of what is gone")?;
    let judge = move |place: &Project, _: &Ended| -> Judged {
        run(place, "recover", 0)?;
        let left = fs::metadata(place.data().join("notes.db-wal")).map_or(0, |it| it.len());
        match (left, place.data().join("notes.db").exists()) {
            (0, true) => Ok(()),
            (_, false) => Err("the new database is not there".into()),
            _ => Err("an old log lies beside the new database".into()),
        }
    };
    Ok(plain("orphan", template, "recover", judge))
}

/// An undo that goes back when a database and its log are in place again: whoever opens the database
/// meets the one of before or the one of after, and in the end that of before.
fn undo_back<'a>(
    builder: &Builder<'_>,
    undo: &'a Scenario,
    name: &str,
    fault: Option<&str>,
) -> Made<Case<'a>> {
    let mut template = builder.template(name)?;
    let in_place = |nth: &u32| -> Made<bool> {
        copy_folder(&undo.template.folder, &template.folder)?;
        interrupted(&template, UNDO, *nth, Way::Back)?;
        let journal = fs::read_to_string(template.data().join(".piton/restore.json"))?;
        let goes_back = journal.replace(' ', "").contains("\"direction\":\"back\"");
        Ok(goes_back && template.data().join("app.db-wal").exists())
    };
    if !(4..60).rev().any(|nth| in_place(&nth).unwrap_or(false)) {
        return Err("no undo could be cut off behind a database and its log".into());
    }
    if let Some(fault) = fault {
        template.arm(fault);
    }
    let (old, new) = (undo.old.clone(), undo.new.clone());
    let scratch = builder.scratch();
    let judge = move |place: &Project, _: &Ended| -> Judged {
        let found = State::read(&place.data(), &scratch);
        whole_databases(&found, &old, &new)?;
        run(place, "recover", 0)?;
        require(&State::read(&place.data(), &scratch), &old, "after the recovery")?;
        // What it has not put back is still kept.
        run(place, UNDO, 0)?;
        require(&State::read(&place.data(), &scratch), &new, "undone after all")
    };
    Ok(plain(name, template, "recover", judge))
}

/// A database and its log that are put back are the very files that were kept.
fn undo_exactly<'a>(builder: &Builder<'_>, undo: &'a Scenario) -> Made<Case<'a>> {
    let template = builder.template("undo-exactly")?;
    copy_folder(&undo.template.folder, &template.folder)?;
    let areas = template.data().join(".piton/undo");
    let area = names(&areas).pop().ok_or("nothing can be undone")?;
    let tree = areas.join(area).join("tree");
    let read = |folder: &Path| ["app.db", "app.db-wal"].map(|it| fs::read(folder.join(it)).ok());
    let kept = read(&tree);
    if kept.iter().any(Option::is_none) {
        return Err("what can be undone has no log".into());
    }
    let (old, new, scratch) = (undo.old.clone(), undo.new.clone(), builder.scratch());
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        whole_databases(&State::read(&place.data(), &scratch), &old, &new)?;
        match ended.code {
            Some(0) if read(&place.data()) != kept => {
                Err("it was undone, and other files than the kept ones are there".into())
            }
            Some(0) => Ok(()),
            _ => run(place, "recover", 0).map(drop),
        }
    };
    Ok(plain("undo-exactly", template, UNDO, judge))
}

/// A log in which there is nothing for the database beside it: to open the two together writes
/// nothing, so that only piton itself brings what it made of them to the disk.
fn undo_stale<'a>(builder: &Builder<'_>, lived: &Project, id: &str) -> Made<Case<'a>> {
    let template = builder.template("undo-stale-log")?;
    copy_folder(&lived.folder, &template.folder)?;
    Connection::open(template.data().join("app.db"))?.query_row(
        "PRAGMA wal_checkpoint(TRUNCATE)",
        [],
        |_| Ok(()),
    )?;
    template.write("data/app.db-wal", &"the log of nobody ".repeat(9))?;
    template.run(&format!("restore {id} --yes"))?.expect(0, "the restore before an undo")?;
    let (old, new) = (builder.state(&template), builder.state(&builder.whole(&template, UNDO, 0)?));
    let scratch = builder.scratch();
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        whole_databases(&State::read(&place.data(), &scratch), &old, &new)?;
        run(place, "recover", 0)?;
        match State::read(&place.data(), &scratch) {
            found if found == old && ended.code != Some(0) => Ok(()),
            found => require(&found, &new, "after the recovery"),
        }
    };
    Ok(plain("undo-stale-log", template, UNDO, judge))
}

/// A log that somebody has left beside a new file does not lie beside the old one that comes back.
fn served<'a>(builder: &Builder<'_>, lived: &Project, id: &str) -> Made<Case<'a>> {
    let template = builder.template("back-served")?;
    copy_folder(&lived.folder, &template.folder)?;
    interrupted(&template, &format!("restore {id} --yes"), 2, Way::BackLate)?;
    template.write("data/app.db-wal", "the log of what is new")?;
    let old = builder.state(lived);
    let scratch = builder.scratch();
    let judge = move |place: &Project, _: &Ended| -> Judged {
        run(place, "recover", 0)?;
        // Before anybody opens the database, who would remove it.
        if fs::metadata(place.data().join("app.db-wal")).is_ok_and(|it| it.len() > 0) {
            return Err("the log of the new database lies beside the old one".into());
        }
        require(&State::read(&place.data(), &scratch), &old, "after the recovery")
    };
    Ok(plain("back-served", template, "recover", judge))
}

/// A restore that fails at its very end: whoever opens a database on its way back meets the one of
/// before or the one of after, with its log or without.
fn going_back<'a>(builder: &Builder<'_>, restore: &'a Scenario) -> Made<Case<'a>> {
    let mut template = builder.template("restore-goes-back")?;
    copy_folder(&restore.template.folder, &template.folder)?;
    template.arm("transaction-sync:1:5");
    let whole = builder.whole(&template, &restore.words, 5)?;
    require(&builder.state(&whole), &restore.old, "after a restore that failed")?;
    let (old, new, scratch) = (restore.old.clone(), restore.new.clone(), builder.scratch());
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        let found = State::read(&place.data(), &scratch);
        whole_databases(&found, &old, &new)?;
        if ended.code.is_some() {
            require(&found, &old, "it said that all is as before")?;
        }
        let calm = Project { variables: Vec::new(), ..place.clone() };
        run(&calm, "recover", 0)?;
        match State::read(&place.data(), &scratch) {
            found if found == new => Ok(()),
            found => require(&found, &old, "after the recovery"),
        }
    };
    Ok(plain("restore-goes-back", template, restore.words.clone(), judge))
}

/// Requires that every database that is there is the one of before or the one of after.
fn whole_databases(found: &State, old: &State, new: &State) -> Judged {
    let databases = found.entries.iter().filter(|(path, _)| path.ends_with(".db"));
    for (path, entry) in databases {
        if old.entries.get(path) != Some(entry) && new.entries.get(path) != Some(entry) {
            return Err(format!("`{path}` is neither old nor new: {entry:?}"));
        }
    }
    Ok(())
}
