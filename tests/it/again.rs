//! The same command typed again, as people do over SSH, unsure what the first one did: it never makes
//! things worse. Sequences of commands are compared with a small model of what is live and of what an
//! undo gives.

use crate::{
    programs::lacks,
    sandbox::{Ran, Sandbox, USERS},
};
use std::fs;

/// What the data directory holds: the rows of the database, the text of a file, and whether there is
/// another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State(String, String, bool);

impl State {
    fn of(sandbox: &Sandbox) -> Self {
        let rows = sandbox.query("app.db", "SELECT group_concat(name) FROM users");
        Self(rows, sandbox.read("data/a.txt"), sandbox.exists("data/sub/b.txt"))
    }
}

/// What should be live, in backups, and given by an undo.
struct Model {
    live: State,
    backups: Vec<(String, State)>,
    undo: Undo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Undo {
    /// No restore has changed anything yet.
    Nothing,
    To(Option<String>, Option<String>, Option<bool>),
    Done,
}

impl Model {
    fn restore(&mut self, to: &State) -> &'static str {
        if self.live == *to {
            return "nothing-to-do";
        }
        let was = std::mem::replace(&mut self.live, to.clone());
        // Only what differs is replaced, and so is brought back by an undo.
        self.undo = Undo::To(
            (was.0 != to.0).then_some(was.0),
            (was.1 != to.1).then_some(was.1),
            (was.2 != to.2).then_some(was.2),
        );
        "done"
    }

    fn undo(&mut self) -> &'static str {
        match std::mem::replace(&mut self.undo, Undo::Done) {
            Undo::Nothing => {
                self.undo = Undo::Nothing;
                "refused"
            }
            Undo::To(rows, text, other) => {
                let State(live_rows, live_text, live_other) = &mut self.live;
                *live_rows = rows.unwrap_or(live_rows.clone());
                *live_text = text.unwrap_or(live_text.clone());
                *live_other = other.unwrap_or(*live_other);
                "done"
            }
            Undo::Done => "nothing-to-do",
        }
    }
}

/// Numbers that look like chance and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn outcome(ran: &Ran) -> String {
    ran.json()["outcome"].as_str().unwrap().into()
}

fn step(sandbox: &Sandbox, model: &mut Model, numbers: &mut Numbers) -> String {
    match numbers.below(8) {
        0 => sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('new')"),
        1 => sandbox.execute("app.db", "DELETE FROM users WHERE id = (SELECT max(id) FROM users)"),
        2 => sandbox.write("data/a.txt", format!("text {}", numbers.below(3))),
        3 if sandbox.exists("data/sub") => fs::remove_dir_all(sandbox.path("data/sub")).unwrap(),
        3 => sandbox.write("data/sub/b.txt", "b"),
        4 => {
            let id = sandbox.back_up();
            if model.backups.iter().all(|(known, _)| *known != id) {
                model.backups.push((id, model.live.clone()));
            }
            return "backup".into();
        }
        5 => {
            let wanted = model.undo();
            let words = "restore --undo --yes --json";
            assert_eq!(outcome(&sandbox.run(words)), wanted, "{words}");
            return words.into();
        }
        _ => {
            let latest = numbers.below(2) == 0;
            let at =
                if latest { model.backups.len() - 1 } else { numbers.below(model.backups.len()) };
            let (id, state) = model.backups[at].clone();
            let name = if latest { "latest" } else { id.as_str() };
            let words = format!("restore {name} --yes --json");
            let wanted = model.restore(&state);
            assert_eq!(outcome(&sandbox.run(&words)), wanted, "{words}");
            return words;
        }
    }
    model.live = State::of(sandbox);
    "a change".into()
}

#[test]
fn sequences_of_commands_end_where_a_small_model_says() {
    for seed in 1..=4 {
        let sandbox = Sandbox::with_users().file("data/a.txt", "text 0");
        let live = State::of(&sandbox);
        let backups = vec![(sandbox.back_up(), live.clone())];
        let mut model = Model { live, backups, undo: Undo::Nothing };
        let mut numbers = Numbers(seed);
        let mut typed = Vec::new();
        for _ in 0..24 {
            let words = step(&sandbox, &mut model, &mut numbers);
            typed.push(words.clone());
            assert_eq!(State::of(&sandbox), model.live, "seed {seed}: {typed:?}");
            if !words.starts_with("restore") || numbers.below(2) == 0 {
                continue;
            }
            // Typed again it changes nothing, and neither does it take the undo away.
            let again = sandbox.run(&words);
            let wanted =
                if model.undo == Undo::Nothing && words.contains("--undo") { 4 } else { 0 };
            let again = again.code(wanted);
            assert_ne!(outcome(&again), "done", "seed {seed}: {typed:?}");
            assert_eq!(State::of(&sandbox), model.live, "seed {seed}, again: {typed:?}");
        }
    }
}

fn restored() -> (Sandbox, String) {
    let sandbox = Sandbox::with_users().file("data/a.txt", "then");
    let id = sandbox.back_up();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('later')");
    sandbox.write("data/a.txt", "now");
    (sandbox, id)
}

#[test]
fn a_restore_typed_twice_says_that_there_is_nothing_to_do() {
    for words in
        ["restore --yes", "restore ID --yes", "restore --only app.db --yes", "restore --hot --yes"]
    {
        let (sandbox, id) = restored();
        let before = State::of(&sandbox);
        let words = words.replace("ID", &id);
        sandbox.run(&words).success().says("restored ");
        let (after, backups) = (State::of(&sandbox), sandbox.backups());
        let ran = sandbox.run(&words).success().stderr("");
        ran.stdout("nothing to do: the data is as in backup [ID]\n");
        let dry = words.replace("--yes", "--dry-run");
        sandbox.run(&dry).success().says("nothing to do");
        assert_eq!((State::of(&sandbox), sandbox.backups()), (after, backups), "{words}");
        sandbox.run("restore --undo --yes").success();
        assert_eq!(State::of(&sandbox), before, "{words}: the undo is that of the first");
    }
}

#[test]
fn an_undo_is_done_once_and_shows_what_it_would_lose() {
    let (sandbox, id) = restored();
    let before = State::of(&sandbox);
    sandbox.run(&format!("restore {id} --yes")).success();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('since')");
    let between = State::of(&sandbox);
    let dry = sandbox.run("restore --undo --dry-run").success().says("changed since");
    dry.says("undo of the restore of backup").never_says("undone");
    sandbox.run("restore --undo").code(2).says("app.db is replaced").says("add `--yes`");
    assert_eq!(State::of(&sandbox), between);
    let done = sandbox.run("restore --undo --yes --json").success().json();
    assert_eq!(State::of(&sandbox), before);
    let again = sandbox.run("restore --undo --yes").success();
    again.says("nothing to do").says("was undone already").says(&format!("piton restore {id}"));
    sandbox.run("restore --undo --dry-run").success().says("was undone already");
    assert_eq!(State::of(&sandbox), before);
    // What the undo took away is in a backup of its own.
    let safety = done["restored"]["safety"].as_str().unwrap();
    sandbox.run(&format!("restore {safety} --yes")).success();
    assert_eq!(State::of(&sandbox), between);
    sandbox.run("restore --undo --yes").success().says("undone the restore");
    assert_eq!(State::of(&sandbox), before);
}

#[test]
fn an_undo_into_open_databases_is_done_once() {
    let (sandbox, _) = restored();
    let before = State::of(&sandbox);
    let service = sandbox.database("app.db");
    service.execute_batch("PRAGMA journal_mode = WAL; SELECT 1 FROM users").unwrap();
    sandbox.run("restore --hot --yes").success().says("written into while open");
    sandbox.run("restore --hot --yes").success().says("nothing to do");
    sandbox.run("restore --undo --yes").success().says("undone the restore");
    assert_eq!(State::of(&sandbox), before);
    sandbox.run("restore --undo --yes").success().says("was undone already");
    assert_eq!(State::of(&sandbox), before);
}

#[test]
fn a_rollback_typed_twice_is_one_and_up_goes_on_from_there() {
    let sandbox =
        Sandbox::with_users().migration("002_mail.sql", "ALTER TABLE users ADD COLUMN mail TEXT;");
    sandbox.run("up").success();
    let has_mail = || sandbox.dump("app.db").contains("mail");
    for _ in 0..2 {
        sandbox.run("rollback --yes").success().says("restored ");
        assert!(!has_mail());
        for _ in 0..2 {
            sandbox.run("rollback --yes").success().says("nothing to do");
            assert!(!has_mail() && sandbox.dump("app.db").contains("bob"));
        }
        sandbox.run("up --yes").success().says("002_mail.sql");
        sandbox.run("up --yes").success().says("nothing to do");
        assert!(has_mail());
    }
    // Undone, it can be rolled back again, and once more by the backup that has what the run did.
    sandbox.run("rollback --yes").success();
    sandbox.run("restore --undo --yes").success();
    sandbox.run("restore --undo --yes").success().says("was undone already");
    assert!(has_mail());
    let rolled = sandbox.run("rollback --yes --json").success().json();
    let safety = rolled["restored"]["safety"].as_str().unwrap().to_string();
    sandbox.run(&format!("restore {safety} --yes")).success();
    assert!(has_mail());
    sandbox.run("rollback --yes").success().says("restored ");
    assert!(!has_mail());
}

#[test]
fn a_killed_restore_typed_again_ends_where_it_should() {
    if lacks("strace") {
        return;
    }
    for (nth, words) in
        (1..=9).step_by(2).flat_map(|nth| [(nth, "restore"), (nth, "restore --undo")])
    {
        let (sandbox, id) = restored();
        let before = State::of(&sandbox);
        sandbox.run(&format!("restore {id} --to then")).success();
        let undoes = words.contains("--undo");
        if undoes {
            sandbox.run("restore --yes").success();
        }
        let mut killed = sandbox.program("strace");
        let inject = format!("inject=/rename:signal=KILL:when={nth}");
        killed.args(["-f", "-o", "/dev/null", "-e", "trace=/rename", "-e", &inject]);
        killed.arg(crate::sandbox::PITON).args(words.split(' ')).arg("--yes");
        sandbox.finish(killed);
        sandbox.run(&format!("{words} --yes")).success();
        let wanted =
            if undoes { before.clone() } else { State("ann,bob".into(), "then".into(), false) };
        assert_eq!(State::of(&sandbox), wanted, "{words} killed at rename {nth}");
        if !undoes {
            sandbox.run("restore --undo --yes").success();
            assert_eq!(State::of(&sandbox), before, "{words} killed at rename {nth}, undone");
        }
    }
}

#[test]
fn a_refused_restore_typed_again_ends_where_it_should() {
    let (sandbox, _) = restored();
    let service = sandbox.database("app.db");
    service.query_row("SELECT 1 FROM users", [], |_| Ok(())).unwrap();
    sandbox.run("restore --yes").code(9);
    sandbox.run("restore --yes").code(9);
    drop(service);
    sandbox.run("restore --yes").success().says("restored ");
    sandbox.run("restore --yes").success().says("nothing to do");
}

#[test]
fn latest_is_what_was_taken_last_whatever_the_clock_said() {
    if lacks("faketime") {
        return;
    }
    let sandbox = Sandbox::new().migration("001_users.sql", USERS);
    sandbox.run("up").success();
    let at = |time: &str, words: &str| {
        let mut command = sandbox.program("faketime");
        command.arg(time).arg(crate::sandbox::PITON).args(words.split(' '));
        sandbox.finish(command)
    };
    at("2040-06-01 12:00:00", "backup").success();
    sandbox.run("backups").success().says("in the future: 20400601T");
    let listed = sandbox.run("backups --json").success().json();
    assert_eq!(listed["in_future"].as_array().unwrap().len(), 1);
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('cat')");
    sandbox.write("piton.toml", "[retention]\nlast = 1\n");
    let newest = sandbox.back_up();
    sandbox.execute("app.db", "INSERT INTO users (name) VALUES ('dog')");
    at("2001-02-03 12:00:00", "backup").success();
    sandbox.run("prune").success();
    let names = || sandbox.query("app.db", "SELECT group_concat(name) FROM users");
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.run("restore latest --yes").success();
    assert_eq!(names(), "ann,bob,cat,dog");
    sandbox.run("restore latest --yes").success().says("nothing to do");
    assert!(!sandbox.backups().contains(&newest), "one of the last");
}

/// A deploy whose rollback was undone is not "rolled back already".
#[test]
fn what_an_undo_brought_back_is_not_rolled_back_already() {
    let sandbox = Sandbox::with_users().migration("002_u.sql", "CREATE TABLE u (a);");
    sandbox.run("deploy --yes").success();
    sandbox.run("deploy --rollback --yes").code(0).never_says("nothing to do");
    sandbox.run("deploy --rollback --yes").success().says("rolled back already");
    sandbox.run("restore --undo --yes").success();
    let ran = sandbox.run("deploy --rollback --yes").code(4).one_error();
    ran.says("in the data again").says("piton restore ");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'u'"), "1");
}
