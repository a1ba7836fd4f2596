//! `backups`: the list, one of them, and what lies between them.

use crate::sandbox::Sandbox;

#[test]
fn lists_newest_first() {
    let sandbox = Sandbox::new();
    sandbox.run("backups").success().stdout("no backup yet\nnext: piton backup\n");
    let sandbox = Sandbox::with_users();
    sandbox.run("backup").success();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.run("backup --label empty").success();
    let ids = sandbox.backups();
    sandbox.run("backups").success().stdout(
        "[ID]  manual   [SIZE]  1 database, at 001  [AGO]  empty\n\
         [ID]  manual   [SIZE]  1 database, at 001  [AGO]\n\
         [ID]  run        [SIZE]  0 databases  [AGO]\n\
         3 backups, [SIZE] in backups\n\
         next: piton restore ID puts one back, piton backups ID shows it\n",
    );
    let shown = sandbox.run(&format!("backups {}", ids[1])).success();
    shown.says("app.db").says("in 3 tables, at 001");
    sandbox.run("backups latest --json").success();
}

#[test]
fn an_unknown_id_or_none_at_all() {
    let sandbox = Sandbox::new();
    sandbox.run("backups latest").code(2).one_error().says("there is no backup in `backups`");
    let sandbox = Sandbox::with_users();
    sandbox.run("backups 19990101").code(2).one_error().says("`piton backups`");
    sandbox.run("backups nonsense").code(2).one_error().says("`nonsense`");
    sandbox.run("backups 2").success();
}

#[test]
fn names_strays() {
    let sandbox = Sandbox::with_users();
    sandbox.run("backup").success();
    sandbox.write("backups/20250101T000000Z-abcdef.tar.gz", "not an archive");
    sandbox.write("backups/letter.txt", "hello");
    sandbox
        .run("backups")
        .success()
        .says("damaged: the backup `backups/20250101T000000Z-abcdef.tar.gz`");
    assert_eq!(sandbox.backups().len(), 2);
}
