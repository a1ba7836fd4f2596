//! `prune`: what goes, why the rest stays, and `backups pin`, `unpin`, `label`.

use crate::sandbox::Sandbox;

/// Three backups of different content; the ids, newest first.
fn with_three(config: &str) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::with_users();
    for text in ["one", "two", "three"] {
        sandbox.write("data/file", text);
        sandbox.run("backup").success();
    }
    let ids = sandbox.backups();
    (sandbox.config(config), ids)
}

#[test]
fn without_rules_nothing_goes_and_the_keys_are_named() {
    let (sandbox, ids) = with_three("");
    let ran = sandbox.run("prune").success();
    ran.says("nothing is ever pruned").says("max-size = \"20GiB\"");
    let document = sandbox.run("prune --json").success().json();
    assert_eq!(
        (&document["outcome"], document["retention"].is_null()),
        (&"nothing-to-do".into(), true)
    );
    assert_eq!(sandbox.backups(), ids);
}

#[test]
fn a_dry_run_gives_the_reasons_and_the_run_obeys_them() {
    let (sandbox, ids) = with_three("[retention]\nlast = 1\n");
    let shown = sandbox.run("prune --dry-run").success();
    let shown = shown
        .says("keep: newest, last 1")
        .says("keep: before the last run/deploy")
        .says("2 backups, ");
    assert_eq!(sandbox.backups(), ids, "{}", shown.whole());
    let document = sandbox.run("prune --json").success().json();
    let removed: Vec<_> =
        document["removed"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(removed, [ids[1].as_str(), ids[2].as_str()]);
    assert_eq!(document["verdicts"][0]["reasons"][0], "newest");
    assert_eq!(document["verdicts"][1]["verdict"], "remove");
    assert_eq!(sandbox.backups(), [ids[0].clone(), ids[3].clone()]);
    sandbox.run("prune").success().says("nothing to do");
    sandbox.run("verify --all").success();
}

#[test]
fn pins_and_labels() {
    let (sandbox, ids) = with_three("[retention]\nlast = 1\n");
    sandbox.run(&format!("backups pin {}", ids[2])).success().says("  pinned\n");
    let again = sandbox.run(&format!("backups pin {} --json", ids[2])).success().json();
    assert_eq!(again["outcome"], "nothing-to-do");
    sandbox.run(&format!("backups label {} weekly", ids[2])).success().says("  pinned  weekly\n");
    sandbox.run("prune").success().says("keep: pinned");
    assert!(sandbox.backups().contains(&ids[2]));
    sandbox.run(&format!("backups label {}", ids[2])).success().never_says("weekly");
    sandbox.run(&format!("backups unpin {}", ids[2])).success().never_says("pinned");
    sandbox.run("prune").success();
    assert!(!sandbox.backups().contains(&ids[2]));
    sandbox.run(&format!("backups show {}", ids[0])).success().says("verified 20");
    sandbox.run("backups pin nonsense").code(2).one_error();
}

#[test]
fn a_backup_is_followed_by_pruning() {
    let (sandbox, ids) = with_three("[retention]\nlast = 2\n");
    sandbox.write("data/file", "four");
    sandbox.run("backup").success();
    let left = sandbox.backups();
    assert_eq!(left[1..], [ids[0].clone(), ids[3].clone()]);
}

#[test]
fn wrong_values_are_named_with_their_place() {
    for (key, said) in [
        ("within = \"3 months\"", "`within`"),
        ("max-size = \"20\"", "`max-size`"),
        ("last = -1", "piton.toml:2"),
        ("dayly = 1", "`daily`"),
    ] {
        let sandbox = Sandbox::with_users().config(&format!("[retention]\n{key}\n"));
        sandbox.run("prune").code(2).one_error().says("piton.toml:2:").says(said);
    }
}
