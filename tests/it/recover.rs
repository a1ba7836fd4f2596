//! `recover`: an interrupted restore goes forward or back, by this command or any other.

use crate::sandbox::{Files, Sandbox};

type Content = (Vec<String>, Files);

struct Killed {
    sandbox: Sandbox,
    id: String,
    old: Content,
    new: Content,
}

/// A restore that killed itself at one step, and the two states it may end in.
fn killed_at(point: &str, nth: u32) -> Killed {
    let sandbox = Sandbox::with_users().file("data/a.txt", "old");
    let id = sandbox.back_up();
    let new = sandbox.content();
    sandbox.execute("app.db", "DELETE FROM users");
    sandbox.write("data/a.txt", "changed");
    let old = sandbox.content();
    let mut command = sandbox.command(&format!("restore {id} --yes"));
    command.env("PITON_FAULT", format!("{point}:{nth}:kill"));
    let ran = sandbox.finish(command);
    assert!(ran.whole().contains("None"), "{point}:{nth} was not reached: {}", ran.whole());
    Killed { sandbox, id, old, new }
}

/// The labels of everything that a restore does, by their order.
const POINTS: [(&str, u32); 6] = [("*", 5), ("*", 15), ("*", 25), ("*", 35), ("*", 45), ("*", 55)];

#[test]
fn ends_all_old_or_all_new() {
    for (point, nth) in POINTS {
        let Killed { sandbox, id, old, new } = killed_at(point, nth);
        sandbox.run("recover").success();
        let now = sandbox.content();
        assert!(now == old || now == new, "{point}:{nth} {now:?}");
        sandbox.run("recover").success().stdout("nothing to do: no restore was interrupted\n");
        sandbox.run("status").success();
        sandbox.run(&format!("restore {id} --yes")).success();
        assert_eq!(sandbox.content(), new, "{point}:{nth}");
    }
}

#[test]
fn any_other_command_does_it_too() {
    let Killed { sandbox, old, new, .. } = killed_at("*", 45);
    sandbox.run("status").success();
    let now = sandbox.content();
    assert!(now == old || now == new);
    sandbox.run("recover").success().stdout("nothing to do: no restore was interrupted\n");
}

#[test]
fn nothing_to_recover() {
    let words = "nothing to do: no restore was interrupted\n";
    Sandbox::bare().run("recover").success().stdout(words);
    Sandbox::with_users().run("recover").success().stdout(words);
}
