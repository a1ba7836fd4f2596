//! `init`: what a project begins with; what exists stays.

use crate::sandbox::Sandbox;
use std::os::unix::fs::PermissionsExt;

#[test]
fn makes_everything_once() {
    let sandbox = Sandbox::bare();
    sandbox.run("init").success().stderr("").stdout(
        "made    ./data\nmade    ./migrations\nmade    ./scripts\nmade    ./piton.toml\n\
         made    ./deploy.sh\nnext: piton new create_users\n",
    );
    let mode = sandbox.path("deploy.sh").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    sandbox.write("piton.toml", "# mine\n");
    sandbox.run("init").success().says("is there ./piton.toml").never_says("made ");
    assert_eq!(sandbox.read("piton.toml"), "# mine\n");
    sandbox.run("status").success().stderr("");
}

#[test]
fn makes_a_folder_that_is_named() {
    let sandbox = Sandbox::bare();
    let made = sandbox.run("init --json shop/app").success().json();
    assert_eq!(made["made"].as_array().unwrap().len(), 5);
    assert!(sandbox.exists("shop/app/migrations"));
    assert_eq!(sandbox.run("init --json shop/app").success().json()["outcome"], "nothing-to-do");
}

#[test]
fn refuses_where_a_file_is_in_the_way() {
    let sandbox = Sandbox::bare().file("data", "a file");
    sandbox.run("init").code(5).one_error().says("`./data`");
    assert_eq!(sandbox.read("data"), "a file");
    assert!(!sandbox.exists("piton.toml"));
}

#[test]
fn the_written_configuration_says_the_defaults() {
    let sandbox = Sandbox::bare();
    sandbox.run("init").success();
    // Every commented key is one that counts once its comment sign is gone.
    let text = sandbox.read("piton.toml");
    let keys = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") || key.starts_with('[') => key,
        _ => line,
    });
    let plain: Vec<&str> = keys.collect();
    sandbox.write("piton.toml", plain.join("\n"));
    std::fs::create_dir(sandbox.path("migrations/tenants")).unwrap();
    // The one for which the example allows something.
    sandbox.write("migrations/042_import.sql", "CREATE TABLE imported (a);");
    sandbox.run("status").success().stderr("");
}
