//! Commands that make files where nothing was: whole or not there, and there once they said so.

use super::{Builder, Judged, plain, require, run, text};
use crate::{
    files::names,
    hunt::Case,
    project::{Ended, Project},
    scenario::single_backup,
    setup::{self, Made},
    state::State,
};
use std::{collections::BTreeMap, fs, io, path::Path, time::SystemTime};

pub(super) fn all<'a>(builder: &Builder<'_>) -> Made<Vec<Case<'a>>> {
    let bare = builder.template("init")?;
    let init = made(builder, "init", "init", bare, ".")?;
    let fresh = builder.template("new")?;
    fresh.run("init")?.expect(0, "`init`")?;
    let new = made(builder, "new", "new add_a_table", fresh, "migrations")?;
    Ok(vec![init, new, look(builder)?, encrypted(builder)?])
}

/// The ordinary files in a folder.
fn contents(folder: &Path) -> BTreeMap<String, String> {
    let read = |name: String| Some((name.clone(), fs::read_to_string(folder.join(name)).ok()?));
    names(folder).into_iter().filter_map(read).collect()
}

fn made<'a>(
    builder: &Builder<'_>,
    name: &str,
    words: &'static str,
    template: Project,
    below: &'static str,
) -> Made<Case<'a>> {
    let whole = contents(&builder.whole(&template, words, 0)?.folder.join(below));
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        let found = contents(&place.folder.join(below));
        let named = |name: &&String| !name.ends_with(".partial");
        if let Some(name) = found.keys().filter(named).find(|it| found[*it] != whole[*it]) {
            return Err(format!("`{name}` is half a file"));
        }
        match (ended.code, whole.keys().find(|name| !found.contains_key(*name))) {
            (Some(0), Some(name)) => Err(format!("`{name}` was made and is not there")),
            _ => Ok(()),
        }
    };
    Ok(plain(name, template, words, judge))
}

/// A backup that is unpacked elsewhere appears there as a whole.
fn look<'a>(builder: &Builder<'_>) -> Made<Case<'a>> {
    let template = builder.template("look")?;
    setup::lived(&template)?;
    let words = format!("restore {} --to out", single_backup(&template)?);
    let read = |place: &Project, scratch: &Path| State::read(&place.folder.join("out"), scratch);
    let scratch = builder.scratch();
    let whole = read(&builder.whole(&template, &words, 0)?, &scratch);
    let again = words.clone();
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        let is_there = || place.folder.join("out").exists();
        if ended.code == Some(0) && !is_there() {
            return Err("it was unpacked and is not there".into());
        }
        if !is_there() {
            run(place, &again, 0)?;
        }
        require(&read(place, &scratch), &whole, "what was unpacked")
    };
    Ok(plain("look", template, words, judge))
}

/// Nobody has the identity to it.
const RECIPIENT: &str = "age17wthsyd3c74csla0ndgpt20fr5zl0crnwu8d08knm32szlzjr5jqx86pk8";

/// The model forgets times, and a backup of other times is another one.
fn settle_times(project: &Project) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(project.data()).contents_first(true) {
        let entry = entry?;
        if !entry.path().to_string_lossy().contains("/.piton") {
            fs::File::open(entry.path())?.set_modified(SystemTime::UNIX_EPOCH)?;
        }
    }
    Ok(())
}

/// Of encrypted backups too, equal content is stored once.
fn encrypted<'a>(builder: &Builder<'_>) -> Made<Case<'a>> {
    let template = builder.template("encrypted")?;
    template.write("data/a.txt", "first a")?;
    template.write("piton.toml", &format!("[backup]\nrecipients = [\"{RECIPIENT}\"]\n"))?;
    let words = "backup";
    builder.whole(&template, words, 0)?;
    let archives = |place: &Project| {
        names(&place.backups()).iter().filter(|name| name.ends_with(".age")).count()
    };
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        let before = archives(place);
        if ended.code == Some(0) && before != 1 {
            return Err(format!("{before} backups are there"));
        }
        place.run(words).map_err(text)?.expect(0, "the backup run again")?;
        match (ended.code, archives(place)) {
            (Some(0), 2..) => Err("equal content is stored twice".into()),
            _ => run(place, "backups", 0).map(drop),
        }
    };
    Ok(Case {
        name: "encrypted".into(),
        template,
        words: words.into(),
        settle: settle_times,
        judge: Box::new(judge),
    })
}
