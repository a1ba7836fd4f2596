//! `completions` and `man`.

use crate::sandbox::Sandbox;

#[test]
fn for_every_shell() {
    let sandbox = Sandbox::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = sandbox.run(&format!("completions {shell}")).success().stderr("");
        assert!(ran.stdout.contains("rollback") && ran.stdout.contains("piton"), "{shell}");
    }
    sandbox.run("completions tcsh").code(2);
    sandbox.write("done.bash", sandbox.run("completions bash").stdout);
    let mut bash = sandbox.program("bash");
    bash.args(["-n", "done.bash"]);
    sandbox.finish(bash).success();
}

#[test]
fn the_manual_page() {
    let ran = Sandbox::bare().run("man").success().stderr("");
    assert!(ran.stdout.contains(".TH piton"), "{}", ran.stdout);
    assert!(ran.stdout.contains("rollback"));
}

#[test]
fn help_and_version() {
    let sandbox = Sandbox::bare();
    sandbox.run("--help").success().says("Exit codes:");
    sandbox.run("up --help").success().says("--dry-run");
    sandbox.run("--version").success().stdout(&format!("piton {}\n", env!("CARGO_PKG_VERSION")));
    sandbox.run("").code(2);
}
