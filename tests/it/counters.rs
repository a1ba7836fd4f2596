//! Law 8, in short: databases are backed up by another process while their counters go up in order.
//! The long form is the example of this name.

use crate::{
    counting::{self, Habit},
    sandbox::Sandbox,
};
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Backups of each kind of journal.
const BACKUPS: usize = 8;

#[test]
fn are_in_order_in_every_backup() {
    for journal in ["wal", "delete"] {
        let sandbox = Sandbox::bare();
        let data = sandbox.path("data");
        counting::make(&data, journal, 300_000);
        let habit = Habit { rate: 200, synchronous: "off".into() };
        let stop = AtomicBool::new(false);
        let (seen, commits) = thread::scope(|scope| {
            let writer =
                scope.spawn(|| counting::write(&data, &habit, || !stop.load(Ordering::Relaxed)));
            let seen: Vec<Vec<i64>> = (0..BACKUPS).map(|_| counters(&sandbox)).collect();
            stop.store(true, Ordering::Relaxed);
            (seen, writer.join().unwrap())
        });
        assert!(seen.iter().all(|counters| counting::in_order(counters)), "{journal}: {seen:?}");
        assert!(seen.is_sorted(), "{journal}: a later backup is older: {seen:?}");
        assert!(seen[0] < seen[BACKUPS - 1], "{journal}: nobody wrote: {seen:?}");
        assert!(commits.len() >= BACKUPS, "{journal}: the writer was held up");
        let longest = commits.iter().max_by_key(|commit| commit.took).unwrap();
        // Far more than a barrier takes, since other tests keep the machine busy.
        assert!(longest.took < Duration::from_secs(2), "{journal}: {longest:?}");
        assert!(longest.waited <= longest.took, "{journal}: {longest:?}");
    }
}

fn counters(sandbox: &Sandbox) -> Vec<i64> {
    let document = sandbox.run("backup --json").success().json();
    let manifest = &document["backup"]["manifest"];
    assert_eq!(manifest["cut"]["kind"], "all", "{manifest:#}");
    let id = manifest["id"].as_str().unwrap();
    fs::create_dir(sandbox.path("out")).unwrap();
    let mut tar = sandbox.program("tar");
    tar.arg("xzf").arg(sandbox.archive(id)).args(["-C", "out"]);
    sandbox.finish(tar).success();
    let counters = counting::read(&sandbox.path("out/data"));
    sandbox.remove("out");
    counters
}

#[test]
fn out_of_order_are_noticed() {
    for (counters, expected) in [
        ([5, 5, 5, 5, 5], true),
        ([6, 6, 5, 5, 5], true),
        ([5, 6, 5, 5, 5], false),
        ([7, 6, 6, 6, 5], false),
        ([5, 5, 5, 5, 6], false),
    ] {
        assert_eq!(counting::in_order(&counters), expected, "{counters:?}");
    }
}
