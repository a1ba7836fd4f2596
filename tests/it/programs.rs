//! Programs that a test needs and that may not be installed: it is skipped then and says so, unless
//! PITON_DEMAND_SERVERS is set, as `.ci/run` does.

use std::{io::Write, thread};

/// Says that a test cannot run here; fails where it must.
pub fn skip(why: &str) {
    let demanded = std::env::var_os("PITON_DEMAND_SERVERS").is_some();
    assert!(!demanded, "PITON_DEMAND_SERVERS is set, and {why}");
    let test = thread::current().name().unwrap_or("a test").to_string();
    // Not `eprintln!`, which is shown for failed tests only.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Whether a program that a test needs is not installed; says that the test is skipped then.
pub fn lacks(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !is_there {
        skip(&format!("{program} is not installed"));
    }
    !is_there
}
