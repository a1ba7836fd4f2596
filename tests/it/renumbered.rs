//! Files that ran under other numbers: shown, and settled by the one command that the message names.

use crate::sandbox::Sandbox;

/// Files before and after, and what is said about them.
struct Row {
    name: &'static str,
    ran: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    /// The message.
    says: &'static str,
    /// What `adopt` records.
    recorded: &'static [&'static str],
    /// What `up --out-of-order` runs after that.
    runs: &'static [&'static str],
}

const A: &str = "CREATE TABLE a (x);";
const B: &str = "CREATE TABLE b (x TEXT);\nINSERT INTO b VALUES ('one');";
const C: &str = "CREATE TABLE c (x);";
const ON_B: &str = "ALTER TABLE b ADD COLUMN y;\nUPDATE b SET y = 1;";

const ROWS: &[Row] = &[
    Row {
        name: "another number after a merge",
        ran: &[("1_a.sql", A), ("2_b.sql", B)],
        files: &[("1_a.sql", A), ("2_c.sql", C), ("3_b.sql", B)],
        says: "`3_b.sql` is what ran here as `2_b.sql`",
        recorded: &["3_b.sql"],
        runs: &["2_c.sql"],
    },
    Row {
        name: "all numbers, and other spelling",
        ran: &[("1_a.sql", A), ("2_b.sql", B), ("3_y.sql", ON_B)],
        files: &[
            ("20260101_a.sql", "-- the first one\ncreate table a(x)"),
            ("20260102_b.sql", B),
            ("20260103_y.sql", ON_B),
            ("20260104_c.sql", C),
        ],
        says: "`20260103_y.sql` is what ran here as `3_y.sql`",
        recorded: &["20260101_a.sql", "20260102_b.sql", "20260103_y.sql"],
        runs: &["20260104_c.sql"],
    },
    Row {
        name: "a later file that ran needs it",
        ran: &[("1_a.sql", A), ("2_b.sql", B), ("3_y.sql", ON_B)],
        files: &[("1_a.sql", A), ("3_y.sql", ON_B), ("4_b.sql", B)],
        says: "`4_b.sql` is what ran here as `2_b.sql`",
        recorded: &["4_b.sql"],
        runs: &[],
    },
    Row {
        name: "two files that changed places",
        ran: &[("1_a.sql", A), ("2_b.sql", B)],
        files: &[("1_b.sql", B), ("2_a.sql", A)],
        says: "`2_a.sql` is what ran here as `1_a.sql`",
        recorded: &["1_b.sql", "2_a.sql"],
        runs: &[],
    },
    Row {
        name: "split in two",
        ran: &[("1_a.sql", A), ("2_b.sql", B)],
        files: &[
            ("1_a.sql", A),
            ("2_b.sql", "CREATE TABLE b (x TEXT);"),
            ("3_rows.sql", "INSERT INTO b VALUES ('one');"),
            ("4_c.sql", C),
        ],
        says: "`2_b.sql`, `3_rows.sql` are what ran here as `2_b.sql`",
        recorded: &["2_b.sql", "3_rows.sql"],
        runs: &["4_c.sql"],
    },
    Row {
        name: "squashed, statement by statement",
        ran: &[("1_a.sql", A), ("2_b.sql", B)],
        files: &[
            (
                "1_all.sql",
                "BEGIN; CREATE TABLE a (x); CREATE TABLE b (x TEXT); INSERT INTO b VALUES ('one'); COMMIT;",
            ),
            ("3_c.sql", C),
        ],
        says: "`1_all.sql` is what ran here as `1_a.sql`, `2_b.sql`",
        recorded: &["1_all.sql"],
        runs: &["3_c.sql"],
    },
    Row {
        name: "squashed into the schema that they left",
        ran: &[("1_a.sql", A), ("2_b.sql", B), ("3_y.sql", ON_B)],
        files: &[
            (
                "1_all.sql",
                "CREATE TABLE b (x TEXT, y);\nCREATE TABLE a (x);\nINSERT INTO b VALUES ('one', 1);",
            ),
            ("4_c.sql", C),
        ],
        says: "`1_all.sql` is in place of `1_a.sql`, `2_b.sql`, `3_y.sql`, which ran here: the schema is the same",
        recorded: &["1_all.sql"],
        runs: &["4_c.sql"],
    },
];

fn project(files: &[(&str, &str)]) -> Sandbox {
    files.iter().fold(Sandbox::new(), |sandbox, (name, text)| sandbox.migration(name, text))
}

/// Other files than those that ran.
fn exchange(sandbox: &Sandbox, files: &[(&str, &str)]) {
    std::fs::remove_dir_all(sandbox.path("migrations")).unwrap();
    files.iter().for_each(|(name, text)| sandbox.write(&format!("migrations/{name}"), text));
}

const CONTENT: &str =
    "SELECT group_concat(x) || (SELECT group_concat(name) FROM sqlite_schema) FROM b";

#[test]
fn one_command_settles_it() {
    for row in ROWS {
        println!("{}", row.name);
        let sandbox = project(row.ran);
        sandbox.run("up").success();
        exchange(&sandbox, row.files);
        let before = sandbox.dump("app.db");
        for command in ["status", "plan", "up"] {
            let ran = sandbox.run(command);
            let ran = if command == "up" { ran.code(4) } else { ran.success() };
            ran.says("[renumbered]").says(row.says).says("`piton adopt --renumbered`");
        }
        assert_eq!(sandbox.dump("app.db"), before, "{}", row.name);
        let content = sandbox.query("app.db", CONTENT);
        let adopted = sandbox.run("adopt --renumbered --json").success().json();
        let recorded: Vec<_> = row.recorded.iter().map(|it| serde_json::json!(it)).collect();
        assert_eq!(
            adopted["adopted"][0]["migrations"],
            serde_json::json!(recorded),
            "{}",
            row.name
        );
        assert_eq!(sandbox.query("app.db", CONTENT), content, "{}", row.name);
        let settled = sandbox.dump("app.db");
        let again = sandbox.run("adopt --renumbered --json").success().json();
        assert_eq!(again["outcome"], "nothing-to-do", "{}", row.name);
        assert_eq!(sandbox.dump("app.db"), settled, "{}", row.name);
        sandbox.run("history").success().says("renumbered").says("ran as");
        let ran = sandbox.run("up --out-of-order").success();
        if row.runs.is_empty() {
            ran.says("nothing to do");
        } else {
            row.runs.iter().fold(ran, |ran, file| ran.says(file));
        }
        sandbox.run("up").success().says("nothing to do");
        // The ledger that this leaves explains the schema, also to a replay from its beginning.
        sandbox.execute("app.db", "CREATE TABLE by_hand (x)");
        sandbox.run("plan --exit-code").success().never_says("refused");
    }
}

#[test]
fn what_is_edited_or_new_is_not_renumbered() {
    /// Files before and after; the code of the finding, and what its hint says.
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
    );
    let cases: &[Case] = &[
        // Edited, also beside a new file.
        (
            &[("1_b.sql", B)],
            &[("1_b.sql", "CREATE TABLE b (x TEXT); -- rows came later")],
            "divergent",
            "--accept 1",
        ),
        (
            &[("1_b.sql", B)],
            &[
                ("1_b.sql", "-- spelled\nCREATE TABLE b (x text);\nINSERT INTO b VALUES ('one');"),
                ("2_c.sql", C),
            ],
            "divergent",
            "--accept 1",
        ),
        // Another file, and the one that ran is gone.
        (&[("1_b.sql", B)], &[("1_c.sql", C)], "divergent", "a number of its own"),
        // Rows tell nothing about who is who.
        (
            &[("1_b.sql", B), ("2_one.sql", "UPDATE b SET x = 1;")],
            &[("1_b.sql", B), ("3_two.sql", "UPDATE b SET x = 2;")],
            "missing",
            "put the file back",
        ),
        (
            &[("1_b.sql", B), ("2_y.sql", "ALTER TABLE b ADD y;")],
            &[("1_b.sql", B), ("3_y.sql", "ALTER TABLE b ADD z;")],
            "missing",
            "put the file back",
        ),
    ];
    for (ran, files, code, hint) in cases {
        println!("{files:?}");
        let sandbox = project(ran);
        sandbox.run("up").success();
        exchange(&sandbox, files);
        let before = sandbox.dump("app.db");
        sandbox.run("up").code(4).says(&format!("[{code}]")).says(hint).never_says("renumbered");
        sandbox.run("adopt --renumbered").success().never_says("recorded");
        assert_eq!(sandbox.dump("app.db"), before);
    }
}

/// Where the schema is the same after several new files, a person says which one was the last.
#[test]
fn the_last_one_is_asked_for() {
    let rows = "INSERT INTO b VALUES ('two');";
    for (last, wanted) in [("4", "one,two"), ("5", "one")] {
        let sandbox = project(&[("1_a.sql", A), ("2_b.sql", B)]);
        sandbox.run("up").success();
        let all = "CREATE TABLE b (x TEXT);\nCREATE TABLE a (x);\nINSERT INTO b VALUES ('one');";
        exchange(&sandbox, &[("4_all.sql", all), ("5_rows.sql", rows)]);
        sandbox.run("up").code(4).says("`4_all.sql`, `5_rows.sql`").says("--renumbered VERSION");
        sandbox.run("adopt --renumbered 9").code(2).one_error().says("`9`");
        sandbox.run(&format!("adopt --renumbered {last}")).success().says("4_all.sql");
        sandbox.run("up").success();
        assert_eq!(sandbox.query("app.db", "SELECT group_concat(x) FROM b"), wanted);
        sandbox.run("up").success().says("nothing to do");
    }
}

#[test]
fn a_script_keeps_what_it_is_known_for() {
    let script = "#!/usr/bin/env python3\nimport os, sqlite3\n\
        sqlite3.connect(os.environ['PITON_DATABASE']).execute('CREATE TABLE s (x)')\n";
    let sandbox = Sandbox::new().migration("1_a.sql", A).migration("2_s.py", script);
    sandbox.run("up").success();
    std::fs::rename(sandbox.path("migrations/2_s.py"), sandbox.path("migrations/3_s.py")).unwrap();
    sandbox.run("up").code(4).says("[renumbered]");
    sandbox.run("adopt --renumbered").success().says("3_s.py");
    sandbox.run("up").success().says("nothing to do");
    assert_eq!(sandbox.query("app.db", "SELECT count(*) FROM s"), "0");
}
