//! A service's user owns the data directory and plants what it likes there, while root runs piton:
//! nothing outside of the data directory changes, nothing of it is read, and nothing hangs.

use crate::{
    permissions::{NOBODY, give, is_root},
    sandbox::{PITON, Ran, Sandbox},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

/// What nobody but root may read.
const SECRET: &str = "the secret of root";

/// A project of root whose data belongs to another user, and root's files beside it.
struct Place {
    sandbox: Sandbox,
    outside: BTreeMap<PathBuf, (u32, u32, String)>,
}

impl Place {
    /// Nothing where this process may not act for other users.
    fn new() -> Option<Self> {
        if !is_root() {
            return None;
        }
        let sandbox = Sandbox::new()
            .migration("001_users.sql", crate::sandbox::USERS)
            .file("data/uploads/a/b.txt", "an upload")
            .file("etc/passwd", SECRET)
            .file("etc/restore.json", SECRET)
            .file("etc/x.partial", SECRET)
            .file("etc/a/b.txt", SECRET)
            .file("etc/staging/file", SECRET)
            .file("etc/tree/file", SECRET);
        mode(&sandbox.path(""), 0o755);
        mode(&sandbox.path("etc"), 0o755);
        mode(&sandbox.path("etc/passwd"), 0o600);
        for path in walkdir::WalkDir::new(sandbox.path("data")) {
            give(path.unwrap().path(), NOBODY);
        }
        mode(&sandbox.path("data"), 0o750);
        let mut place = Self { sandbox, outside: BTreeMap::new() };
        place.outside = place.look();
        Some(place)
    }

    /// Everything outside of the data directory that no command of piton has to do with.
    fn look(&self) -> BTreeMap<PathBuf, (u32, u32, String)> {
        let entries =
            walkdir::WalkDir::new(self.sandbox.path("etc")).into_iter().map(Result::unwrap);
        let state = |entry: walkdir::DirEntry| {
            let found = entry.metadata().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            (entry.into_path(), (found.mode(), found.uid(), text))
        };
        entries.map(state).collect()
    }

    #[track_caller]
    fn require_unchanged(&self, after: &str) {
        assert_eq!(self.look(), self.outside, "after {after}");
    }

    /// A script as the user who owns the data, in the data directory.
    fn as_owner(&self, script: &str) {
        let mut command = self.owner("sh");
        command.args(["-ec", script]).current_dir(self.sandbox.path("data"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn owner(&self, program: &str) -> std::process::Command {
        let (mut command, user) = (self.sandbox.program("setpriv"), NOBODY.to_string());
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", program]);
        command
    }

    fn piton_as_owner(&self, words: &str) -> Ran {
        let mut command = self.owner(PITON);
        command.args(words.split_whitespace());
        self.sandbox.finish(command)
    }

    /// As root, with a limit of time.
    fn run(&self, words: &str) -> Ran {
        let mut command = self.sandbox.program("timeout");
        command.args(["60", PITON]).args(words.split_whitespace());
        let ran = self.sandbox.finish(command);
        assert_ne!(ran.status, Some(124), "`{words}` hangs");
        assert_ne!(ran.status, Some(1), "{}", ran.whole());
        ran
    }

    /// A program of the owner that changes one thing for another, again and again.
    fn race(&self, loop_body: &str) -> Race {
        let mut command = self.owner("sh");
        command.args(["-c", &format!("while :; do {loop_body}; done")]);
        command.current_dir(self.sandbox.path("data")).stderr(Stdio::null());
        Race(command.spawn().unwrap())
    }
}

struct Race(Child);

impl Drop for Race {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_ordinary_life_of_a_service_whose_deploys_are_roots() {
    let Some(place) = Place::new() else { return };
    place.run("up --yes").success();
    let id = place.sandbox.back_up();
    place.sandbox.execute("app.db", "DELETE FROM users");
    place.sandbox.write("data/uploads/a/b.txt", "changed");
    place.run(&format!("restore {id} --yes")).success();
    assert_eq!(place.sandbox.query("app.db", "SELECT count(*) FROM users"), "2");
    assert_eq!(place.sandbox.read("data/uploads/a/b.txt"), "an upload");
    place.run("restore --undo --yes").success();
    assert_eq!(place.sandbox.query("app.db", "SELECT count(*) FROM users"), "0");
    place.run("recover").success();
    // Everything still belongs to the service, and nothing is left that locks its own piton out.
    for path in ["data", "data/app.db", "data/uploads/a/b.txt"] {
        let found = fs::symlink_metadata(place.sandbox.path(path)).unwrap();
        assert_eq!(found.uid(), NOBODY, "{path}");
    }
    assert!(!place.sandbox.exists("data/.piton") && !place.sandbox.exists("data/.piton-restore"));
    place.run("rollback --yes").success();
    assert!(!place.sandbox.exists("data/app.db"));
    let records = fs::read_dir(place.sandbox.path("backups/.records")).unwrap().next().unwrap();
    assert!(records.unwrap().path().join("last-run.json").is_file());
    fs::create_dir(place.sandbox.path("own")).unwrap();
    give(&place.sandbox.path("own"), NOBODY);
    place.piton_as_owner("status --backups own").success();
    place.piton_as_owner("backup --backups own").success();
    place.piton_as_owner("restore latest --yes --backups own").success();
    place.run("backup").success();
    place.run("verify --all").success();
    assert!(place.run("backups").success().stderr.is_empty());
}

#[test]
fn a_deploy_of_root_is_resumed_given_up_and_taken_back() {
    let Some(place) = Place::new() else { return };
    let sandbox = &place.sandbox;
    place.run("deploy --yes").success();
    place.run("deploy --yes --resume").code(4).says("has ended");
    place.run("deploy --yes --abort").code(4).says("has ended");
    for (number, verb, code) in [(2, "--resume", 0), (3, "--abort", 11)] {
        let text = format!("CREATE TABLE t{number} (a);");
        sandbox.write(&format!("migrations/00{number}_t.sql"), text);
        sandbox.write("hooks/before-migrate", "#!/bin/sh\nrm -f \"$0\"\nkill -9 $PPID\n");
        sandbox.run("deploy --yes").killed();
        place.run("deploy --status --exit-code").code(14);
        place.run(&format!("deploy --yes {verb}")).code(code);
        place.run("deploy --status --exit-code").code(code);
    }
    let tables = "SELECT group_concat(name) FROM sqlite_schema WHERE name LIKE 't_'";
    assert_eq!(sandbox.query("app.db", tables), "t2");
    place.run("up --lift-hold --yes").success();
    sandbox.write("migrations/004_t.sql", "CREATE TABLE t4 (a);");
    place.run("deploy --yes").success();
    place.run("deploy --yes --rollback").success();
    assert_eq!(sandbox.query("app.db", tables), "t2,t3");
    assert_eq!(fs::metadata(sandbox.path("data/app.db")).unwrap().uid(), NOBODY);
}

#[test]
fn no_plant_is_believed_followed_or_waited_for() {
    let Some(place) = Place::new() else { return };
    place.run("up --yes").success();
    place.sandbox.back_up();
    let etc = place.sandbox.path("etc");
    let etc = etc.display();
    let kinds = [
        format!("ln -s {etc}/passwd $n"),
        format!("ln -s {etc} $n"),
        format!("ln -s {etc}/new $n"),
        "mkfifo $n".into(),
        "mkdir -p $n/tree".into(),
        "python3 -c 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' $n".into(),
    ];
    let names = "lock deploy.lock restore.json hot.json last-run.json deploy.json hold.json fence \
                 likeness service.log staging scratch raw folded undo rehearsal restore.json.partial";
    for folder in [".piton", ".piton-root"] {
        for kind in &kinds {
            place.as_owner(&format!(
                "rm -rf .piton; if [ -e .piton-root ]; then mv .piton-root .gone$$; fi
                 mkdir {folder}; cd {folder}; for n in {names}; do {kind}; done"
            ));
            for words in ["recover", "restore latest --yes", "up --yes"] {
                place.run(words);
                place.require_unchanged(&format!("`{words}` with {folder}: {kind}"));
            }
        }
    }
    for plant in [
        format!("ln -s {etc} .piton"),
        format!("ln -s {etc} .piton-root"),
        format!("ln -s {etc}/passwd .piton-restore"),
        "mkfifo .piton-restore".into(),
        "mkfifo .piton".into(),
        format!("rm app.db; ln -s {etc}/passwd app.db"),
        "rm app.db; mkfifo app.db".into(),
        format!("ln -s {etc}/passwd app.db-journal; ln -s {etc}/passwd app.db-wal"),
    ] {
        place.as_owner(&format!(
            "rm -rf .piton .piton-restore app.db-journal app.db-wal
             if [ -e .piton-root ] || [ -L .piton-root ]; then mv .piton-root .gone$$; fi; {plant}"
        ));
        for words in ["recover", "restore latest --yes", "up --yes"] {
            place.run(words);
            place.require_unchanged(&format!("`{words}` with {plant}"));
        }
    }
    place.as_owner(
        "rm -rf .piton .piton-restore app.db-journal app.db-wal
         mv .piton-root .gone || rm -f .piton-root",
    );
    place.run("restore latest --yes").success();
    place.run("backup").success();
}

#[test]
fn a_planted_journal_moves_nothing_and_is_named() {
    let Some(place) = Place::new() else { return };
    place.run("up --yes").success();
    let etc = place.sandbox.path("etc");
    for (staged, path) in
        [(etc.to_str().unwrap(), "passwd"), ("staging", "x/passwd"), ("../..", "a")]
    {
        place.as_owner(&format!(
            "rm -rf .piton x; mkdir -p .piton/staging/x; echo evil > .piton/staging/x/passwd
             ln -s {} x
             cat > .piton/restore.json <<J\n{{\"format\":1,\"id\":\"20260101T000000Z-aaaaaa\",\
             \"backup\":\"20260101T000000Z-bbbbbb\",\"safety\":null,\"direction\":\"forward\",\
             \"staged\":\"{staged}\",\"hot\":[],\"actions\":[{{\"action\":\"place\",\
             \"path\":\"{path}\",\"what\":\"file\"}}]}}\nJ",
            etc.display()
        ));
        for words in ["recover", "status", "up --yes", "restore latest --yes"] {
            let ran = place.run(words).code(4).one_error();
            ran.says("was interrupted").says(&format!("`sudo -u '#{NOBODY}' piton recover`"));
            place.require_unchanged(words);
        }
    }
    // Not even the owner's own piton goes where such a journal points.
    place.piton_as_owner("recover --backups own").code(7);
    place.as_owner("rm -rf .piton x");
    place.run("recover").success();
}

#[test]
fn an_interrupted_restore_of_root_is_known_to_all_and_finished_by_root() {
    let Some(place) = Place::new() else { return };
    place.run("up --yes").success();
    let id = place.sandbox.back_up();
    let new = place.sandbox.content();
    place.sandbox.execute("app.db", "DELETE FROM users");
    let old = place.sandbox.content();
    let kill = |words: &str| {
        let mut command = place.sandbox.command(words);
        command.env("PITON_FAULT", "place:1:kill");
        assert_eq!(place.sandbox.finish(command).status, None);
    };
    for (words, before, after) in
        [(format!("restore {id} --yes"), &old, &new), ("restore --undo --yes".into(), &new, &old)]
    {
        assert_eq!(place.sandbox.content(), *before);
        kill(&words);
        assert!(!place.sandbox.exists("data/.piton"));
        let other = place.run("up --yes --backups other").code(4).one_error();
        other.says("was interrupted").says("`--backups`");
        let theirs = place.piton_as_owner("up --yes --backups own").code(4).one_error();
        theirs.says("was interrupted").says("as root");
        // Another folder in the place of the one that was written to is not taken for it.
        place.as_owner("mv .piton-root .away");
        place.run("recover").code(7).says("is not the folder");
        place.as_owner("mv .away .piton-root");
        place.run("recover").success();
        assert_eq!(place.sandbox.content(), *after);
        place.run("recover").success().says("nothing to do");
        assert!(!place.sandbox.exists("data/.piton-restore"));
    }
}

#[test]
fn a_journal_of_sqlite_removes_no_file_elsewhere() {
    let Some(place) = Place::new() else { return };
    place.run("up --yes").success();
    let victim = place.sandbox.path("etc/passwd");
    let victim = victim.to_str().unwrap();
    let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    journal.resize(512, 0);
    journal.extend_from_slice(&[0; 4]);
    journal.extend_from_slice(victim.as_bytes());
    journal.extend_from_slice(&u32::try_from(victim.len()).unwrap().to_be_bytes());
    let sum: u32 = victim.bytes().map(|byte| byte as i8 as u32).fold(0, u32::wrapping_add);
    journal.extend_from_slice(&sum.to_be_bytes());
    journal.extend_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    place.sandbox.write("data/app.db-journal", journal);
    give(&place.sandbox.path("data/app.db-journal"), NOBODY);
    for words in ["up --yes", "backup", "status", "restore latest --yes"] {
        place.run(words);
        place.require_unchanged(words);
    }
}

#[test]
fn folders_that_become_links_while_root_works() {
    let Some(place) = Place::new() else { return };
    place.run("up --yes").success();
    for number in 0..60 {
        place.sandbox.write(&format!("data/uploads/a/{number}"), "an upload");
    }
    place.sandbox.back_up();
    let etc = place.sandbox.path("etc");
    let etc = etc.display();
    for body in [
        format!("mv uploads .u; ln -s {etc} uploads; rm uploads; mv .u uploads"),
        format!("mv uploads/a .a; ln -s {etc}/a uploads/a; rm uploads/a; mv .a uploads/a"),
        format!("mv .piton-root .p; ln -s {etc} .piton-root; rm .piton-root; mv .p .piton-root"),
        format!("mv app.db .d; ln -s {etc}/passwd app.db; rm app.db; mv .d app.db"),
    ] {
        let racing = place.race(&body);
        for words in ["backup", "restore latest --yes", "recover", "restore --undo --yes", "status"]
        {
            for _ in 0..4 {
                place.run(words);
                place.require_unchanged(&format!("`{words}` against {body}"));
            }
        }
        drop(racing);
        // What its last program still moves has come to rest.
        std::thread::sleep(std::time::Duration::from_millis(100));
        place.as_owner(
            "for n in uploads .piton-root app.db uploads/a; do if [ -L $n ]; then rm $n; fi; done
             if [ -e .u ] && [ ! -e uploads ]; then mv -T .u uploads || :; fi
             if [ -e .a ] && [ ! -e uploads/a ]; then mv -T .a uploads/a || :; fi
             if [ -e .d ] && [ ! -e app.db ]; then mv -T .d app.db || :; fi
             if [ -e .p ]; then mv -T .p .gone$$; fi",
        );
    }
    // Nothing of root's came into a backup either.
    for id in place.sandbox.backups() {
        let mut tar = place.sandbox.program("tar");
        tar.arg("xzOf").arg(place.sandbox.archive(&id));
        let output = tar.output().unwrap();
        let has = output.stdout.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!has, "{id} has a file from outside");
    }
}

#[test]
fn records_are_kept_only_where_nobody_else_can_replace_them() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.sandbox.path("shared")).unwrap();
    give(&place.sandbox.path("shared"), NOBODY);
    let ran = place.run("up --yes --backups shared/backups").code(4).one_error();
    ran.says("belongs to another user").says("`chown root ");
    mode(&place.sandbox.path("shared"), 0o777);
    give(&place.sandbox.path("shared"), 0);
    let ran = place.run("up --yes --backups shared/backups").code(4).one_error();
    ran.says("may be written to by others").says("`chmod go-w ");
    assert!(!place.sandbox.exists("data/app.db"));
    mode(&place.sandbox.path("shared"), 0o755);
    place.run("up --yes --backups shared/backups").success();
}

#[test]
fn what_root_has_kept_before_the_data_was_given_away_is_taken_over() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::with_users().migration("002_more.sql", "CREATE TABLE more (a);\n");
    mode(&sandbox.path(""), 0o755);
    sandbox.run("up").success();
    sandbox.write("data/a.txt", "new");
    sandbox.run("restore latest --yes").success();
    give(&sandbox.path("data"), NOBODY);
    sandbox.run("restore --undo --yes").success();
    assert_eq!(sandbox.read("data/a.txt"), "new");
    sandbox.run("rollback --yes").success();
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"),
        "0"
    );
}
