//! Restores that do more than put everything back: rows saved, open databases written into, files
//! that somebody replaced meanwhile, a file system without links.

use super::{Builder, Judged, logs, of_scenario, plain, require, run};
use crate::{
    files::{copy_folder, names},
    hunt::Case,
    project::{Ended, Project},
    scenario::{Scenario, Way, interrupted, single_backup},
    setup::{self, Made},
    state::State,
};
use piton::rusqlite::Connection;
use std::{collections::BTreeMap, fs, path::Path};

/// What links are refused with where there are none (EPERM).
const NO_LINKS: &str = "keep:1:1+,back-keep:1:1+,keep-later:1:1+,displace-keep:1:1+,pair-keep:1:1+";

pub(super) fn all<'a>(builder: &Builder<'_>, scenarios: &'a [Scenario]) -> Made<Vec<Case<'a>>> {
    let lived = builder.template("lived")?;
    setup::lived(&lived)?;
    let id = single_backup(&lived)?;
    let mut all = vec![
        saving(builder, &lived, "save-lost", format!("restore {id} --yes"))?,
        saving(builder, &lived, "save-lost-one", format!("restore {id} --yes --only notes.db"))?,
        saving(
            builder,
            &lived,
            "save-lost-none",
            format!("restore {id} --yes --only uploads/a.txt"),
        )?,
        hot(builder, &lived, &id)?,
        replaced_meanwhile(builder, &lived, &id, "later", None)?,
        replaced_meanwhile(builder, &lived, &id, "later-no-links", Some(NO_LINKS))?,
    ];
    all.extend(damaged(builder, &lived, &id)?);
    all.extend(logs::all(builder, scenarios, &lived, &id)?);
    for name in ["restore", "recover-late"] {
        let scenario = scenarios.iter().find(|it| it.name == name).expect("it is one of them");
        let name = format!("{name}-no-links");
        all.push(of_scenario(scenario, builder.piton, builder.folder, name, Some(NO_LINKS)));
    }
    Ok(all)
}

/// The lines of the saved rows, by file.
fn saved(place: &Project) -> Option<BTreeMap<String, Vec<String>>> {
    let target = place.folder.join("lost.sql");
    let lines = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        // The heading names the time.
        text.lines().filter(|line| !line.starts_with("-- The rows of")).map(Into::into).collect()
    };
    if !target.exists() {
        return None;
    }
    let files = walkdir::WalkDir::new(&target).into_iter().flatten();
    let files = files.filter(|entry| entry.file_type().is_file());
    let named = files.map(|it| {
        (it.path().strip_prefix(&target).expect("below").display().to_string(), lines(it.path()))
    });
    Some(named.collect())
}

/// Before the first row is gone, what puts it back is there whole.
fn saving<'a>(
    builder: &Builder<'_>,
    template: &Project,
    name: &str,
    restore: String,
) -> Made<Case<'a>> {
    let words = format!("{restore} --save-lost lost.sql");
    let whole = builder.whole(template, &words, 0)?;
    let (old, new, rows) = (builder.state(template), builder.state(&whole), saved(&whole));
    let scratch = builder.scratch();
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        let raw = State::read(&place.data(), &scratch);
        let is_lost = |state: &State| {
            state.entries.iter().any(|(path, entry)| {
                old.entries.get(path) != Some(entry) && new.entries.get(path) == Some(entry)
            })
        };
        if is_lost(&raw) && saved(place) != rows {
            return Err(format!("rows are gone and saved is {:?}", saved(place)));
        }
        run(place, "recover", 0)?;
        let found = State::read(&place.data(), &scratch);
        if found != old {
            require(&found, &new, "after the recovery")?;
            if saved(place) != rows {
                return Err(format!("rows are gone and saved is {:?}", saved(place)));
            }
            return Ok(());
        }
        match (ended.code, found == new) {
            (Some(0), false) => Err("it was acknowledged, and the old state is there".into()),
            _ => Ok(()),
        }
    };
    Ok(plain(name, template.clone(), words, judge))
}

/// Where only some of the open databases are new, every command says so until it is put right.
fn hot<'a>(builder: &Builder<'_>, template: &Project, id: &str) -> Made<Case<'a>> {
    let words = format!("restore {id} --yes --hot");
    let (again, backup) = (words.clone(), id.to_owned());
    let whole = builder.whole(template, &words, 0)?;
    let (old, new) = (builder.state(template), builder.state(&whole));
    let scratch = builder.scratch();
    let judge = move |place: &Project, ended: &Ended| -> Judged {
        let found = State::read(&place.data(), &scratch);
        let (mut replaced, mut left) = (0, 0);
        for (path, entry) in found.entries.iter().filter(|(path, _)| path.ends_with(".db")) {
            match (old.entries.get(path), new.entries.get(path)) {
                (_, Some(it)) if it.1 == entry.1 => replaced += 1,
                (Some(it), _) if it.1 == entry.1 => left += 1,
                _ => return Err(format!("`{path}` is neither old nor new: {}", entry.1)),
            }
        }
        let told = place.run("status").map_err(super::text)?;
        if replaced > 0 && left > 0 && told.code == Some(0) {
            return Err("only some databases are new, and `status` says nothing of it".into());
        }
        if replaced > 0 && left > 0 && !told.output.contains(&backup) {
            return Err(format!("it does not say by which backup it began: {}", told.shown()));
        }
        if ended.code == Some(0) {
            told.expect(0, "`status`")?;
            return require(&State::read(&place.data(), &scratch), &new, "it was acknowledged");
        }
        run(place, &again, 0)?;
        run(place, "status", 0)?;
        require(&State::read(&place.data(), &scratch), &new, "the restore run again")
    };
    Ok(plain("hot", template.clone(), words, judge))
}

/// Databases that cannot be opened, and what lies beside them: one that the backup has as well, one
/// that it has not, and one at rest with a journal that is used again.
const SIDES: [&str; 6] = [
    "notes.db",
    "notes.db-wal",
    "gone.db",
    "gone.db-wal",
    "sub/third.db-journal",
    "sub/third.db-wal",
];

fn damaged_project(builder: &Builder<'_>, lived: &Project, name: &str) -> Made<Project> {
    let template = builder.template(name)?;
    copy_folder(&lived.folder, &template.folder)?;
    for name in ["notes", "gone"] {
        let text = format!("SQLite format 3\0{}", format!("broken {name} ").repeat(900));
        template.write(&format!("data/{name}.db"), &text)?;
        template.write(&format!("data/{name}.db-wal"), &format!("the log of {name}"))?;
    }
    let third = Connection::open(template.data().join("sub/third.db"))?;
    third.execute_batch(
        "PRAGMA journal_mode = PERSIST; INSERT INTO t (text) VALUES ('persistent');",
    )?;
    Ok(template)
}

/// What cannot be read goes and comes with its logs, and none is left beside what is new.
fn damaged<'a>(builder: &Builder<'_>, lived: &Project, id: &str) -> Made<Vec<Case<'a>>> {
    let restore = format!("restore {id} --yes");
    let whole = damaged_project(builder, lived, "restore-damaged")?;
    let undone = damaged_project(builder, lived, "undo-damaged")?;
    undone.run(&restore)?.expect(0, "the restore of what is damaged")?;
    let back = damaged_project(builder, lived, "back-damaged")?;
    interrupted(&back, &restore, 14, Way::Back)?;
    let late = damaged_project(builder, lived, "back-damaged-late")?;
    interrupted(&late, &restore, 2, Way::BackLate)?;
    let read = |place: &Project| SIDES.map(|name| fs::read(place.data().join(name)).ok());
    let old = read(&whole);
    let commands = [
        ("restore-damaged", whole, restore),
        ("undo-damaged", undone, UNDO.into()),
        ("back-damaged", back, "recover".into()),
        ("back-damaged-late", late, "recover".into()),
    ];
    let mut all = Vec::new();
    for (name, template, words) in commands {
        let (old, undoes) = (old.clone(), words == UNDO);
        let goes_forward = words != "recover";
        let judge = move |place: &Project, ended: &Ended| -> Judged {
            let met = read(place);
            if met[0].is_some() && met[0] != old[0] && met[1] == old[1] {
                return Err(format!("`{}` lies beside another database", SIDES[1]));
            }
            run(place, "recover", 0)?;
            let found = read(place);
            let is_old = found[0] == old[0];
            if ended.code == Some(0) && goes_forward && is_old != undoes {
                return Err("it was acknowledged, and the other state is there".into());
            }
            if is_old {
                return as_it_was(&found, &old);
            }
            if let Some(at) =
                (1..SIDES.len()).find(|at| found[*at].as_ref().is_some_and(|it| !it.is_empty()))
            {
                return Err(format!("`{}` is left beside what is new", SIDES[at]));
            }
            run(place, UNDO, 0)?;
            as_it_was(&read(place), &old)
        };
        all.push(plain(name, template, words, judge));
    }
    Ok(all)
}

pub(super) const UNDO: &str = "restore --undo --yes";

/// The journal of a database that can be read is of no use, and may go.
fn as_it_was(found: &[Option<Vec<u8>>], old: &[Option<Vec<u8>>]) -> Judged {
    match (0..4).find(|at| found[*at] != old[*at]) {
        Some(at) => Err(format!("`{}` is not as it was", SIDES[at])),
        None => Ok(()),
    }
}

/// What somebody put in the place of a file after a restore was cut off is kept as well.
fn replaced_meanwhile<'a>(
    builder: &Builder<'_>,
    lived: &Project,
    id: &str,
    name: &str,
    fault: Option<&str>,
) -> Made<Case<'a>> {
    let mut template = builder.template(name)?;
    // Cut off where the old file has its second name, and the new one waits.
    let waits = |nth: &u32| -> Made<bool> {
        copy_folder(&lived.folder, &template.folder)?;
        interrupted(&template, &format!("restore {id} --yes"), *nth, Way::Forward)?;
        let private = template.data().join(".piton");
        let waits = private.join("staging/uploads/a.txt").exists();
        let areas = names(&private.join("undo"));
        let kept =
            |area: &String| private.join("undo").join(area).join("tree/uploads/a.txt").exists();
        Ok(waits && areas.iter().any(kept))
    };
    if !(2..24).any(|nth| waits(&nth).unwrap_or(false)) {
        return Err("no restore could be cut off between keeping a file and replacing it".into());
    }
    fs::remove_file(template.data().join("uploads/a.txt"))?;
    template.write("data/uploads/a.txt", "somebody's")?;
    if let Some(fault) = fault {
        template.arm(fault);
    }
    let kept = |place: &Project| -> Vec<String> {
        let areas = place.data().join(".piton/undo");
        let mut found: Vec<String> = names(&areas)
            .iter()
            .map(|area| areas.join(area).join("tree/uploads"))
            .flat_map(|folder| names(&folder).into_iter().map(move |name| folder.join(name)))
            .filter(|path| path.to_string_lossy().contains("/a.txt"))
            .map(|path| fs::read_to_string(path).unwrap_or_default())
            .collect();
        found.sort();
        found
    };
    let both = ["second a".to_owned(), "somebody's".to_owned()];
    let found = kept(&builder.whole(&template, "recover", 0)?);
    if found != both {
        return Err(format!("a recovery keeps {found:?}").into());
    }
    let judge = move |place: &Project, _: &Ended| -> Judged {
        let live = || fs::read_to_string(place.data().join("uploads/a.txt")).unwrap_or_default();
        let is_kept = || kept(place).iter().any(|it| it == "somebody's");
        if live() != "somebody's" && !is_kept() {
            return Err(format!("what somebody wrote is gone: {:?}", kept(place)));
        }
        run(place, "recover", 0)?;
        match live() == "first a" && kept(place) == both {
            true => Ok(()),
            false => Err(format!("after the recovery it is `{}`, kept {:?}", live(), kept(place))),
        }
    };
    Ok(plain(name, template, "recover", judge))
}
