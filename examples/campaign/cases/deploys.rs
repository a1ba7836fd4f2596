//! Deploys that go well and that go back, cut off anywhere: resumed or given up, each comes to its
//! end, and what it said stays.

use super::{Builder, Judged, plain, require, run, text};
use crate::{
    files::copy_folder,
    hunt::Case,
    project::{Ended, Project},
    setup::Made,
    state::State,
};
use piton::rusqlite::Connection;
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

/// A project that can be deployed.
pub fn deployable(builder: &Builder<'_>, name: &str) -> Made<Project> {
    template(builder, name, Before::Release, Second::Good)
}

pub(super) fn all<'a>(builder: &Builder<'_>) -> Made<Vec<Case<'a>>> {
    Ok(vec![
        deploying(builder, "deploy", Before::Release, Second::Good)?,
        deploying(builder, "deploy-back", Before::Release, Second::Bad)?,
        deploying(builder, "deploy-first-back", Before::Nothing, Second::Bad)?,
        deploying(builder, "deploy-changed-back", Before::Busy, Second::Bad)?,
        deploying(builder, "deploy-sick-back", Before::Busy, Second::Sick)?,
        lifting(builder)?,
    ])
}

const GOOD: &str = "ALTER TABLE items ADD COLUMN size INTEGER;\n";
/// With what this makes the service does not start.
const BAD: &str = "#!/bin/sh\ntouch \"$PITON_DATA_DIR/bad\"\n";
/// A service that is a file, and does not start behind the fence.
const CONFIG: &str = "[deploy]\nreleases = \"releases\"\n\
    [deploy.service]\nmanager = \"command\"\nstop = \"rm -f running\"\n\
    start = \"test ! -e data/.piton/fence -a ! -e data/bad -a ! -e current/sick && touch running\"\n\
    status = \"test -e running || exit 3\"\n\
    [deploy.health]\ndeadline = \"20s\"\nwindow = \"1ms\"\ninterval = \"1ms\"\n\
    [[deploy.health.query]]\ndatabase = \"app.db\"\nsql = \"SELECT count(*) > 0 FROM items\"\n";
const ITEMS: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY);\nINSERT INTO items VALUES (1);\n";

/// What is deployed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    Good,
    /// A script makes what the service does not start with. The rollback point is archived before it
    /// runs, for it to find.
    Bad,
    /// The service itself does not start. There is no archive of the rollback point yet.
    Sick,
}

/// Which release is current before the deploy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Release,
    /// The same, and the service writes to the very end; a file that it does not touch is old.
    Busy,
}

fn template(builder: &Builder<'_>, name: &str, before: Before, second: Second) -> Made<Project> {
    let template = builder.template(name)?;
    template.write("piton.toml", CONFIG)?;
    template.write("migrations/001_items.sql", ITEMS)?;
    template.run("up")?.expect(0, "the first run")?;
    for release in ["a", "b"] {
        template.write(&format!("releases/{release}/app"), release)?;
    }
    template.write("running", "")?;
    if before == Before::Busy {
        busy(&template)?;
    }
    if before != Before::Nothing {
        std::os::unix::fs::symlink("releases/a", template.folder.join("current"))?;
    }
    match second {
        Second::Bad => template.write("migrations/002_more.sh", BAD)?,
        Second::Good | Second::Sick => template.write("migrations/002_more.sql", GOOD)?,
    }
    if second == Second::Sick {
        template.write("releases/b/sick", "")?;
    }
    Ok(template)
}

/// What a service does while it is stopped: it writes to its database, to a file, and makes a new one.
const LAST_WORDS: &str = "cat last/app.db > data/app.db; cat last/a.txt > data/a.txt; \
    mkdir -p data/new; cat last/a.txt > data/new/b.txt";

fn busy(template: &Project) -> Made<()> {
    let app = template.data().join("app.db");
    fs::create_dir_all(template.folder.join("last"))?;
    let last = template.folder.join("last/app.db");
    fs::copy(&app, &last)?;
    Connection::open(&last)?.execute_batch("INSERT INTO items VALUES (2)")?;
    template.write("last/a.txt", "last a")?;
    template.write("data/a.txt", "first a")?;
    template.write("data/old.txt", "untouched")?;
    let long_ago = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::open(template.data().join("old.txt"))?.set_modified(long_ago)?;
    fs::hard_link(&app, template.data().join("second.db"))?;
    let stop = format!("stop = \"rm -f running; {LAST_WORDS}\"");
    Ok(template.write("piton.toml", &CONFIG.replace("stop = \"rm -f running\"", &stop))?)
}

/// What the service leaves when it has stopped.
fn stopped(builder: &Builder<'_>, template: &Project, before: Before) -> Made<State> {
    if before != Before::Busy {
        return Ok(builder.state(template));
    }
    let place = template.at(&builder.folder.join("cases/stopped"));
    copy_folder(&template.folder, &place.folder)?;
    let shell = Command::new("sh").arg("-c").arg(LAST_WORDS).current_dir(&place.folder).status()?;
    if !shell.success() {
        return Err("the service could not write".into());
    }
    Ok(builder.state(&place))
}

fn current(place: &Project) -> Option<String> {
    let target = fs::read_link(place.folder.join("current")).ok()?;
    Some(target.display().to_string())
}

/// The phase of a deploy that has not ended.
fn open_phase(place: &Project) -> Result<Option<String>, String> {
    let Ok(record) = fs::read(place.data().join(".piton/deploy.json")) else { return Ok(None) };
    let record: serde_json::Value = serde_json::from_slice(&record).map_err(text)?;
    let phase = record["phase"].as_str().map(Into::into);
    Ok(if record["ending"].is_null() { phase } else { None })
}

/// From here on the fence is up, and it is up until the service is started.
const FENCED: &[&str] = &["final-backup", "migrate", "switch", "put-back", "switch-back"];

fn deploying<'a>(
    builder: &Builder<'_>,
    name: &str,
    before: Before,
    second: Second,
) -> Made<Case<'a>> {
    let template = template(builder, name, before, second)?;
    let code = if second == Second::Good { 0 } else { 11 };
    let words = "deploy --release b";
    let old = stopped(builder, &template, before)?;
    let new = builder.state(&builder.whole(&template, words, code)?);
    let (scratch, first) = (builder.scratch(), current(&template));
    let end = move |place: &Project, scratch: &Path, code: Option<i32>| -> Judged {
        let found = State::read(&place.data(), scratch);
        let fence = place.data().join(".piton/fence").exists();
        match code {
            Some(0) => {
                require(&found, &new, "it was deployed")?;
                if current(place).as_deref() != Some("releases/b") || fence {
                    return Err(format!("it was deployed, and {:?} is current", current(place)));
                }
                let told = run(place, "deploy --status", 0)?.output;
                match told.contains("health        done") {
                    true => Ok(()),
                    false => Err(format!("it was deployed, and is told as {told}")),
                }
            }
            Some(11) => {
                require(&found, &old, "it went back")?;
                if current(place) != first || fence {
                    return Err(format!("it went back, and {:?} is current", current(place)));
                }
                let held = place.run("up").map_err(text)?.expect(4, "`up` after a rollback")?;
                match held.output.contains("was rolled back") {
                    true => Ok(()),
                    false => Err(format!("it went back, and nothing is held: {}", held.output)),
                }
            }
            other => Err(format!("it ended with {other:?}")),
        }
    };
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        if ended.code.is_some() {
            return end(place, &scratch, ended.code);
        }
        let phase = open_phase(place)?;
        let is_fenced = phase.as_deref().is_some_and(|phase| FENCED.contains(&phase));
        if is_fenced && !place.data().join(".piton/fence").exists() {
            return Err(format!("it is at {phase:?}, and there is no fence"));
        }
        if phase.is_some() {
            given_up(place, &scratch)?;
            let ran = place.run("deploy --resume").map_err(text)?;
            return end(place, &scratch, ran.code)
                .map_err(|what| format!("resumed at {phase:?}: {what}: {}", ran.shown()));
        }
        // It had not begun, or had ended.
        let told = place.run("deploy --status --exit-code").map_err(text)?;
        let had_begun = !told.output.contains("no deploy has been made");
        if told.code == Some(code) && had_begun {
            return end(place, &scratch, told.code);
        }
        let ran = place.run(words).map_err(text)?;
        end(place, &scratch, ran.code).map_err(|what| format!("again: {what}: {}", ran.shown()))
    };
    Ok(plain(name, template, words, judge))
}

/// One that is given up leaves the state before, or where it had come to its end the one after.
fn given_up(place: &Project, scratch: &Path) -> Judged {
    let copy = place.at(&scratch.join("undone"));
    copy_folder(&place.folder, &copy.folder).map_err(text)?;
    let ran = copy.run("deploy --abort").map_err(text)?;
    match ran.code {
        Some(0 | 11 | 14) => Ok(()),
        _ => Err(format!("`deploy --abort`: {}", ran.shown())),
    }
}

/// A hold that was lifted does not come back.
fn lifting<'a>(builder: &Builder<'_>) -> Made<Case<'a>> {
    let before = template(builder, "lift-before", Before::Release, Second::Bad)?;
    let held = builder.whole(&before, "deploy --release b", 11)?;
    let template = builder.template("lift")?;
    copy_folder(&held.folder, &template.folder)?;
    // Where nothing is pending, no run is noted in the same folder afterwards.
    fs::remove_file(template.folder.join("migrations/002_more.sh"))?;
    let judge = |place: &Project, ended: &Ended| -> Judged {
        match ended.code {
            Some(0) if place.data().join(".piton/hold.json").exists() => {
                Err("it was lifted, and is there again".into())
            }
            Some(0) => run(place, "up", 0).map(drop),
            _ => run(place, "up --lift-hold", 0).map(drop),
        }
    };
    Ok(plain("lift-hold", template, "up --lift-hold", judge))
}
