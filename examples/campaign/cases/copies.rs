//! Copies off the machine: what is listed there is whole, and what was copied stays.

use super::{Builder, Judged, require, run};
use crate::{
    files::names,
    hunt::Case,
    project::{Ended, Project},
    scenario::archives,
    setup::Made,
    state::State,
};
use piton::rusqlite::Connection;
use std::{fs, io};

pub(super) fn all<'a>(builder: &Builder<'_>) -> Made<Vec<Case<'a>>> {
    Ok(vec![copying(builder)?, thinning(builder)?, fetching(builder)?])
}

/// Tells a project, wherever it lies, where its copies go.
pub(super) fn settle(project: &Project) -> io::Result<()> {
    let path = project.folder.join("piton.toml");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let lines = text.lines().map(|line| match line.starts_with("url = ") {
        true => format!("url = \"file://{}/disk\"\n", project.folder.display()),
        false => format!("{line}\n"),
    });
    fs::write(&path, lines.collect::<String>())
}

/// A project with one backup, and a place for copies without any.
pub fn project(builder: &Builder<'_>, name: &str, keys: &str) -> Made<Project> {
    let template = builder.template(name)?;
    fs::create_dir_all(template.folder.join("disk"))?;
    fs::create_dir_all(template.folder.join("migrations"))?;
    template.write("data/a.txt", "first a")?;
    Connection::open(template.data().join("app.db"))?
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES ('first');")?;
    let config = format!("[store.offsite]\nurl = \"\"\npatience = \"0s\"\ncopy-after = []\n{keys}");
    template.write("piton.toml", &config)?;
    settle(&template)?;
    template.run("backup")?.expect(0, "the backup")?;
    Ok(template)
}

/// The copies that are listed, each of which verifies.
fn whole_copies(place: &Project) -> Result<Vec<String>, String> {
    let there = names(&place.folder.join("disk"));
    let whole = |name: &&String| there.contains(&name.replace(".tar.gz", ".json"));
    let ids: Vec<String> = there
        .iter()
        .filter(|name| name.ends_with(".tar.gz"))
        .filter(whole)
        .map(|name| name.replace(".tar.gz", ""))
        .collect();
    for id in &ids {
        run(place, &format!("verify {id} --offsite"), 0)?;
    }
    let listed = run(place, "backups --offsite", 0)?;
    match listed.output.lines().find(|line| line.contains("damaged") || line.contains("stray")) {
        Some(line) => Err(format!("`backups --offsite`: {line}")),
        None => Ok(ids),
    }
}

fn copying<'a>(builder: &Builder<'_>) -> Made<Case<'a>> {
    let template = project(builder, "copy", "")?;
    let judge = |place: &Project, ended: &Ended| -> Judged {
        let there = whole_copies(place)?;
        if ended.code == Some(0) && there.len() != 1 {
            return Err("it was copied, and no copy is there".into());
        }
        run(place, "backups sync", 0)?;
        match whole_copies(place)?.len() {
            1 => Ok(()),
            count => Err(format!("copied again, {count} copies are there")),
        }
    };
    case(builder, template, "copy", "backups sync".into(), judge)
}

/// A copy that no rule keeps goes, and does not come back.
fn thinning<'a>(builder: &Builder<'_>) -> Made<Case<'a>> {
    let template = project(builder, "thin", "[store.offsite.retention]\nlast = 1\n")?;
    template.run("backups sync")?.expect(0, "the first copy")?;
    template.write("data/a.txt", "second a")?;
    template.run("backup")?.expect(0, "the second backup")?;
    let judge = |place: &Project, ended: &Ended| -> Judged {
        let there = whole_copies(place)?;
        if ended.code == Some(0) && names(&place.folder.join("disk")).len() != 2 {
            return Err(format!("it was removed there, and {there:?} are there"));
        }
        run(place, "backups sync", 0)?;
        match names(&place.folder.join("disk")).len() {
            2 => Ok(()),
            _ => Err(format!("there are {:?}", names(&place.folder.join("disk")))),
        }
    };
    case(builder, template, "thin", "backups sync".into(), judge)
}

/// A copy that is fetched is a backup like any other.
fn fetching<'a>(builder: &Builder<'_>) -> Made<Case<'a>> {
    let template = project(builder, "fetch", "")?;
    template.run("backups sync")?.expect(0, "the copy")?;
    let name = archives(&template.backups()).pop().ok_or("there is no backup")?;
    let id = name.replace(".tar.gz", "");
    for name in [name, format!("{id}.json")] {
        fs::remove_file(template.backups().join(name))?;
    }
    template.write("data/a.txt", "second a")?;
    let words = format!("restore {id} --offsite --yes");
    let (old, new) =
        (builder.state(&template), builder.state(&builder.whole(&template, &words, 0)?));
    let (scratch, again) = (builder.scratch(), words.clone());
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        run(place, "recover", 0)?;
        let found = State::read(&place.data(), &scratch);
        if found != old || ended.code == Some(0) {
            require(&found, &new, "after it")?;
        }
        let listed = run(place, "backups", 0)?;
        if let Some(line) =
            listed.output.lines().find(|it| it.contains("damaged") || it.contains("missing"))
        {
            return Err(format!("`backups`: {line}"));
        }
        for name in archives(&place.backups()) {
            run(place, &format!("verify {}", name.replace(".tar.gz", "")), 0)?;
        }
        if ended.code == Some(0) && !archives(&place.backups()).contains(&format!("{id}.tar.gz")) {
            return Err("it was fetched, and is not here".into());
        }
        run(place, &again, 0)?;
        require(&State::read(&place.data(), &scratch), &new, "the restore run again")
    };
    case(builder, template, "fetch", words, judge)
}

fn case<'a>(
    _: &Builder<'_>,
    template: Project,
    name: &str,
    words: String,
    judge: impl FnMut(&Project, &Ended) -> Judged + 'a,
) -> Made<Case<'a>> {
    Ok(Case { name: name.into(), template, words, settle, judge: Box::new(judge) })
}
