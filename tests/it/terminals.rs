//! Names, labels, rows and output come from elsewhere: none of them steers a terminal.

use crate::sandbox::Sandbox;

/// Sets a title, clears the screen, goes back to the start of the line, and turns the order of letters.
const STEERING: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}2J\u{202e}";

fn steers(text: &str) -> bool {
    let is_harmless = |letter: char| matches!(letter, '\n' | '\t') || !letter.is_control();
    !text.chars().all(|letter| is_harmless(letter) && letter != '\u{202e}')
}

#[test]
fn nothing_that_a_command_says_steers_a_terminal() {
    let file = format!("migrations/001_{STEERING}.sql");
    let text = format!("CREATE TABLE t (a TEXT PRIMARY KEY); -- {STEERING}\r\n");
    let sandbox = Sandbox::new().file(&file, &text);
    sandbox.write(&format!("data/{STEERING}.txt"), "x");
    let script = format!("#!/bin/sh\nprintf '%s\\n' '{STEERING}'\n");
    sandbox.write("migrations/002_says.sh", &script);
    sandbox.write(&format!("scripts/{STEERING}.sql"), "DELETE FROM nosuch;");
    for command in
        ["status", "plan", "check", "up", "history", "run", "backup --label first", "backups"]
    {
        let ran = sandbox.run(command);
        assert!(!steers(&ran.stdout) && !steers(&ran.stderr), "{command}: {:?}", ran.whole());
    }
    sandbox.execute("app.db", &format!("INSERT INTO t VALUES ('{STEERING}')"));
    sandbox.write(&format!("migrations/003_{STEERING}.sql"), "CREATE TABEL u;");
    for command in [
        "diff --rows",
        "restore --dry-run",
        "restore --yes",
        "plan",
        "up",
        "verify",
        "check",
        "status",
    ] {
        let ran = sandbox.run(command);
        assert!(!steers(&ran.stdout) && !steers(&ran.stderr), "{command}: {:?}", ran.whole());
    }
    // What other programs read is not changed.
    sandbox.run("history --text 1").success().stdout(&text);
    let json = sandbox.run("history --json").success().stdout;
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["entries"][0]["name"], STEERING);
}
