//! `recover`: an interrupted restore goes forward or back, by this command or any other.

use crate::sandbox::{Files, Sandbox};

/// A restore that killed itself at one step, and the two states it may end in.
fn killed_at(point: &str, nth: u32) -> (Sandbox, Files, Files) {
    let sandbox = Sandbox::with_users().file("data/a.txt", "old");
    sandbox.run("backup").success();
    let new = sandbox.data();
    sandbox.execute("app.db", "DELETE FROM users; VACUUM");
    sandbox.write("data/a.txt", "changed");
    let old = sandbox.data();
    let mut command = sandbox.command("restore --yes");
    command.env("PITON_FAULT", format!("{point}:{nth}:kill"));
    let ran = sandbox.finish(command);
    assert!(ran.whole().contains("None"), "{point}:{nth} was not reached: {}", ran.whole());
    (sandbox, old, new)
}

/// The labels of everything that a restore does, by their order.
const POINTS: [(&str, u32); 6] =
    [("*", 5), ("*", 20), ("*", 30), ("*", 40), ("*", 50), ("*", 60)];

#[test]
fn ends_all_old_or_all_new() {
    for (point, nth) in POINTS {
        let (sandbox, old, new) = killed_at(point, nth);
        sandbox.run("recover").success();
        let now = sandbox.data();
        assert!(now == old || now == new, "{point}:{nth} {:?}", now.keys());
        sandbox.run("recover").success().stdout("nothing to do: no restore was interrupted\n");
        sandbox.run("status").success();
        sandbox.run("restore --yes").success();
        assert_eq!(sandbox.data(), new, "{point}:{nth}");
    }
}

#[test]
fn any_other_command_does_it_too() {
    let (sandbox, old, new) = killed_at("*", 50);
    sandbox.run("status").success();
    let now = sandbox.data();
    assert!(now == old || now == new);
    sandbox.run("recover").success().stdout("nothing to do: no restore was interrupted\n");
}

#[test]
fn nothing_to_recover() {
    let words = "nothing to do: no restore was interrupted\n";
    Sandbox::bare().run("recover").success().stdout(words);
    Sandbox::with_users().run("recover").success().stdout(words);
}
