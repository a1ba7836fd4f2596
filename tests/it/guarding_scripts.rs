//! A folder of unnumbered scripts, each of which looks for itself whether it is needed.

use crate::sandbox::Sandbox;

/// A script that adds a column where it is missing.
fn adds(column: &str) -> String {
    format!(
        "#!/bin/sh\nset -e\nhas=$(sqlite3 \"$PITON_DATABASE\" \"SELECT count(*) FROM pragma_table_info('apps') WHERE name = '{column}'\")\n\
         echo {column} >>ran\n[ \"$has\" = 1 ] || sqlite3 \"$PITON_DATABASE\" 'ALTER TABLE apps ADD COLUMN {column} TEXT'\n"
    )
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new()
        .migration("add_name.sh", &adds("name"))
        .migration("add_zone.sh", &adds("zone"))
        .migration("lib.sh", "# helper\n");
    sandbox.execute(
        "app.db",
        "CREATE TABLE apps (id INTEGER PRIMARY KEY); INSERT INTO apps VALUES (1)",
    );
    sandbox
}

fn columns(sandbox: &Sandbox) -> String {
    sandbox.query("app.db", "SELECT group_concat(name) FROM pragma_table_info('apps')")
}

#[test]
fn run_by_name_once_and_recorded() {
    let sandbox = sandbox();
    sandbox.run("plan").success().says("add_name.sh (script)").says("add_zone.sh (script)");
    sandbox.run("check").success();
    sandbox.run("up").success().says("backup ").says("add_name.sh");
    assert_eq!(columns(&sandbox), "id,name,zone");
    sandbox.run("up").success().says("nothing to do");
    sandbox.run("status --exit-code").success().says("all done");
    assert_eq!(sandbox.read("ran"), "name\nzone\n");
    // A new one between the others is no disorder, an edited one looks again.
    sandbox.write("migrations/add_port.sh", adds("port"));
    sandbox.run("up").success();
    assert_eq!(columns(&sandbox), "id,name,zone,port");
    sandbox.write("migrations/add_port.sh", adds("host"));
    sandbox.run("up").success();
    assert_eq!(sandbox.read("ran"), "name\nzone\nport\nhost\n");
    sandbox.run("history").success().says("add_name");
    // By hand, over SSH.
    sandbox.run("run add_name").code(4).says("--again");
    sandbox.run("run add_name --again").success();
    sandbox.run("up").success().says("nothing to do");
}

#[test]
fn without_a_ledger_they_look_again() {
    let sandbox = sandbox();
    sandbox.run("up").success();
    sandbox.execute("app.db", "DROP TABLE _piton_ledger");
    sandbox.run("up").success();
    assert_eq!(columns(&sandbox), "id,name,zone");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM apps"), "1");
}

#[test]
fn a_failure_restores() {
    let sandbox = sandbox().migration("break.sh", "#!/bin/sh\n# sqlite_master\nexit 3\n");
    sandbox.run("up").code(6).says("break.sh");
    assert_eq!(columns(&sandbox), "id");
    sandbox.remove("migrations/break.sh");
    sandbox.run("up").success();
    assert_eq!(columns(&sandbox), "id,name,zone");
}

#[test]
fn only_where_each_of_them_looks() {
    let sandbox = sandbox().migration("print.sh", "#!/bin/sh\necho 1\n");
    sandbox.run("up").code(4).says("print.sh").says("format = \"scripts\"");
    assert_eq!(columns(&sandbox), "id");
    sandbox.write("piton.toml", "format = \"scripts\"\n");
    sandbox.run("up").success();
    assert_eq!(columns(&sandbox), "id,name,zone");
    sandbox.write("piton.toml", "format = \"flyway\"\n");
    sandbox.run("up").code(2).says("piton.toml:1:").says("`format`");
}

#[test]
fn never_beside_numbers_and_never_without_a_database() {
    let numbered = sandbox().migration("001_a.sql", "CREATE TABLE a (x);");
    numbered.run("up").code(4).says("add_name.sh").says("without a number");
    let none = Sandbox::new().migration("add_name.sh", &adds("name"));
    none.run("up").code(4).says("add_name.sh").says("`data/app.db` is not");
    assert!(!none.exists("data/app.db"));
}
