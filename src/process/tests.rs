//! Programs that write much, leave something behind, or would ignore signals.

use super::{Ended, Job, Remains, run};
use crate::{clock::System, event::Silent};
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::{Duration, Instant},
};

fn shell(line: &str) -> Ended {
    let arguments = ["-c", line].map(OsString::from);
    let job = Job {
        program: OsStr::new("sh"),
        arguments: &arguments,
        environment: &[],
        folder: Path::new("/"),
        limit: Duration::from_secs(60),
        remains: Remains::Killed,
    };
    run(&job, &System::uninterrupted(), &Silent).unwrap()
}

#[test]
fn the_end_of_the_output_is_kept() {
    let ended = shell("seq 100000");
    assert!(ended.how.is_success());
    assert!(ended.output.ends_with("\n99999\n100000\n"));
    assert!(ended.output.len() <= 64 * 1024);
}

#[test]
#[expect(unsafe_code, reason = "the standard library knows no signals")]
fn a_service_ignores_no_signal_because_piton_does() {
    // SAFETY: no handler is set, so no code runs where it must not.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let ignored = |remains: Remains<'_>| {
        let arguments = ["SigIgn", "/proc/self/status"].map(OsString::from);
        let job = Job {
            program: OsStr::new("grep"),
            arguments: &arguments,
            environment: &[],
            folder: Path::new("/"),
            limit: Duration::from_secs(60),
            remains,
        };
        let output = run(&job, &System::uninterrupted(), &Silent).unwrap().output;
        u64::from_str_radix(output.trim().rsplit('\t').next().unwrap(), 16).unwrap() & 1
    };
    let found = (ignored(Remains::Killed), ignored(Remains::Left(&log)));
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    assert_eq!(found, (1, 0));
}

#[test]
fn what_it_leaves_behind_holds_nothing_up() {
    for line in ["sleep 60 & echo here", "setsid sleep 20 & echo here"] {
        let began = Instant::now();
        let ended = shell(line);
        assert_eq!(ended.output, "here\n", "{line}");
        assert!(began.elapsed() < Duration::from_secs(15), "{line}");
    }
}
