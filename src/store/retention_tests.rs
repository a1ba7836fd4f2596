//! Rules against backups of given times, as tables.

use super::{Backup, BackupId, Protection, Reason, Retention};
use crate::store::{Cut, Digest, FORMAT, Manifest};
use chrono::{DateTime, Utc};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn time(text: &str) -> DateTime<Utc> {
    format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
}

fn backup(when: &str) -> Backup {
    let created = time(when);
    let manifest = Manifest {
        format: FORMAT,
        sequence: None,
        id: BackupId::new(created, [0, 0, 1]),
        created,
        host: "host".into(),
        piton_version: "0".into(),
        sqlite_version: "3".into(),
        reason: Reason::Manual,
        label: None,
        git_revision: None,
        cut: Cut::All,
        excluded: Vec::new(),
        included: Vec::new(),
        data_directory: None,
        databases: Vec::new(),
        files: Vec::new(),
        content: Digest::of(b""),
        notes: Vec::new(),
    };
    Backup {
        archive_bytes: 100,
        archive_sha256: Digest::of(b""),
        label: None,
        pinned: false,
        verified: created,
        damage: None,
        sealed: None,
        manifest,
    }
}

/// The verdicts as they are printed, newest first.
fn judged(rules: &Retention, backups: &[Backup], protection: &Protection) -> Vec<String> {
    let taken = backups.iter().map(|backup| backup.archive_bytes).sum();
    let verdicts = rules.judge(backups, protection, time("2026-11-20 18:00"), taken);
    verdicts.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_keep_the_newest_of_each_period() {
    let times = [
        "2026-11-20 13:30",
        "2026-11-20 13:10",
        "2026-11-20 09:00",
        "2026-11-19 23:59",
        "2026-11-15 12:00",
        "2026-10-31 12:00",
        "2025-12-31 12:00",
        "2024-01-01 12:00",
    ];
    let backups: Vec<Backup> = times.map(backup).into();
    let none = Retention::default();
    let cases: [(&str, Retention, [&str; 8]); 9] = [
        (
            "last",
            Retention { last: Some(2), ..none },
            [
                "keep: newest, last 1",
                "keep: last 2",
                "remove",
                "remove",
                "remove",
                "remove",
                "remove",
                "remove",
            ],
        ),
        (
            "last 0",
            Retention { last: Some(0), ..none },
            ["keep: newest", "remove", "remove", "remove", "remove", "remove", "remove", "remove"],
        ),
        (
            "hourly",
            Retention { hourly: Some(2), ..none },
            [
                "keep: newest, hourly 2026-11-20 13h",
                "remove",
                "keep: hourly 2026-11-20 09h",
                "remove",
                "remove",
                "remove",
                "remove",
                "remove",
            ],
        ),
        (
            "daily, of days that have one",
            Retention { daily: Some(3), ..none },
            [
                "keep: newest, daily 2026-11-20",
                "remove",
                "remove",
                "keep: daily 2026-11-19",
                "keep: daily 2026-11-15",
                "remove",
                "remove",
                "remove",
            ],
        ),
        (
            "weekly, beginning on Monday",
            Retention { weekly: Some(2), ..none },
            [
                "keep: newest, weekly 2026-W47",
                "remove",
                "remove",
                "remove",
                "keep: weekly 2026-W46",
                "remove",
                "remove",
                "remove",
            ],
        ),
        (
            "monthly and yearly",
            Retention { monthly: Some(2), yearly: Some(2), ..none },
            [
                "keep: newest, monthly 2026-11, yearly 2026",
                "remove",
                "remove",
                "remove",
                "remove",
                "keep: monthly 2026-10",
                "keep: yearly 2025",
                "remove",
            ],
        ),
        (
            "more than there are",
            Retention { yearly: Some(99), ..none },
            [
                "keep: newest, yearly 2026",
                "remove",
                "remove",
                "remove",
                "remove",
                "remove",
                "keep: yearly 2025",
                "keep: yearly 2024",
            ],
        ),
        (
            "within",
            Retention { within: Some(DAY), ..none },
            [
                "keep: newest, within",
                "keep: within",
                "keep: within",
                "keep: within",
                "remove",
                "remove",
                "remove",
                "remove",
            ],
        ),
        (
            "size alone",
            Retention { max_size: Some(600), ..none },
            [
                "keep: newest",
                "keep: within max-size",
                "keep: within max-size",
                "keep: within max-size",
                "keep: within max-size",
                "keep: within max-size",
                "remove: over max-size",
                "remove: over max-size",
            ],
        ),
    ];
    for (name, rules, expected) in cases {
        assert_eq!(judged(&rules, &backups, &Protection::default()), expected, "{name}");
    }
}

#[test]
fn what_is_protected_stays_whatever_the_rules_say() {
    let times = [
        "2026-11-20 13:00",
        "2026-11-20 12:00",
        "2026-11-20 11:00",
        "2026-11-20 10:00",
        "2026-11-20 09:00",
        "2026-11-20 08:00",
        "2026-11-20 07:00",
        "2026-11-20 06:00",
    ];
    let mut backups: Vec<Backup> = times.map(backup).into();
    for at in [1, 2, 3, 4] {
        backups[at].manifest.reason = Reason::Safety;
    }
    backups[5].pinned = true;
    let protection = Protection {
        before_last_run: [backups[6].id().clone()].into(),
        unfinished: [backups[7].id().clone()].into(),
    };
    let rules = Retention { last: Some(1), max_size: Some(1), ..Retention::default() };
    let expected = [
        "keep: newest, last 1",
        "keep: safety (newest three)",
        "keep: safety (newest three)",
        "keep: safety (newest three)",
        "remove",
        "keep: pinned",
        "keep: before the last run/deploy",
        "keep: needed by an unfinished operation",
    ];
    assert_eq!(judged(&rules, &backups, &protection), expected);
}

#[test]
fn the_size_limit_takes_the_oldest_first_and_counts_what_the_rules_remove() {
    let mut backups: Vec<Backup> =
        ["2026-11-20 13:00", "2026-11-19 13:00", "2026-11-18 13:00", "2026-11-17 13:00"]
            .map(backup)
            .into();
    backups[2].pinned = true;
    let rules = |last, max_size| Retention {
        last: Some(last),
        max_size: Some(max_size),
        ..Retention::default()
    };
    let none = Protection::default();
    assert_eq!(
        judged(&rules(4, 200), &backups, &none),
        [
            "keep: newest, last 1",
            "remove: over max-size",
            "keep: pinned, last 3",
            "remove: over max-size"
        ]
    );
    assert_eq!(
        judged(&rules(2, 300), &backups, &none),
        ["keep: newest, last 1", "keep: last 2", "keep: pinned", "remove"]
    );
    assert_eq!(rules(4, 400).judge::<Backup>(&[], &none, time("2026-11-20 18:00"), 0), []);
    assert!(Retention::default().is_empty());
}

#[test]
fn without_rules_everything_is_kept() {
    let backups = [backup("2026-11-20 13:00"), backup("2020-11-20 13:00")];
    let verdicts = judged(&Retention::default(), &backups, &Protection::default());
    assert!(verdicts.iter().all(|verdict| verdict.starts_with("keep")), "{verdicts:?}");
}

#[test]
fn a_wrong_time_takes_no_place_from_another() {
    let none = Protection::default();
    let rules = |last, daily, within| Retention {
        last,
        daily,
        within,
        max_size: None,
        ..Retention::default()
    };
    // In the order in which they were taken, newest first.
    let cases: [(&str, Retention, &[&str], &[&str]); 6] = [
        (
            "ahead and the newest: it is kept, and so is the last before it",
            rules(Some(1), None, None),
            &["2030-06-01 12:00", "2026-11-20 12:00", "2026-11-19 12:00"],
            &["keep: newest, last 1", "keep: last 1", "remove"],
        ),
        (
            "ahead, and another was taken since",
            rules(Some(1), None, None),
            &["2026-11-20 12:00", "2030-06-01 12:00"],
            &["keep: newest, last 1", "remove"],
        ),
        (
            "ahead, between others",
            rules(Some(2), Some(2), None),
            &["2026-11-20 12:00", "2030-06-01 12:00", "2026-11-19 12:00", "2026-11-18 12:00"],
            &[
                "keep: newest, last 1, daily 2026-11-20",
                "keep: last 2",
                "keep: last 2, daily 2026-11-19",
                "remove",
            ],
        ),
        (
            "ahead by a day that has come",
            rules(None, Some(2), None),
            &["2026-11-18 12:00", "2026-11-19 12:00", "2026-11-17 12:00"],
            &["keep: newest, daily 2026-11-18", "remove", "keep: daily 2026-11-17"],
        ),
        (
            "behind by years, and the newest",
            rules(None, Some(1), Some(DAY)),
            &["1970-01-01 00:10", "2026-11-20 12:00", "2026-11-18 12:00"],
            &["keep: newest, within", "keep: daily 2026-11-20, within", "remove"],
        ),
        (
            "the clock is behind now: nothing is removed",
            rules(Some(1), Some(1), None),
            &["2027-01-03 12:00", "2027-01-02 12:00", "2027-01-01 12:00"],
            &["keep: newest, last 1", "keep: last 1", "keep: last 1"],
        ),
    ];
    for (what, rules, times, wanted) in cases {
        let backups: Vec<Backup> = times.iter().map(|it| backup(it)).collect();
        assert_eq!(judged(&rules, &backups, &none), wanted, "{what}");
    }
}

#[test]
fn what_latest_means_always_stays() {
    let mut backups: Vec<Backup> =
        ["2026-11-20 13:00", "2026-11-20 12:00", "2026-11-19 13:00", "2026-11-18 13:00"]
            .map(backup)
            .into();
    backups[0].manifest.reason = Reason::Safety;
    backups[1].manifest.reason = Reason::Safety;
    let rules = Retention { last: Some(1), max_size: Some(1), ..Retention::default() };
    assert_eq!(
        judged(&rules, &backups, &Protection::default()),
        [
            "keep: newest, safety (newest three), last 1",
            "keep: safety (newest three)",
            "keep: newest",
            "remove",
        ]
    );
}
