//! What is to be copied and what removed: a pure function that reaches nothing.

use super::holdings::Copy;
use crate::{
    Result,
    store::{
        Backup, BackupId, Digest, Order, Reason, Retention,
        retention::{Judged, Protection, Verdict},
    },
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::{cmp::Reverse, collections::BTreeMap};

/// What the rules of retention need to know about a backup, here or there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: BackupId,
    pub(crate) sequence: Option<u64>,
    pub(crate) label: Option<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) reason: Reason,
    pub(crate) pinned: bool,
    pub(crate) archive_bytes: u64,
}

impl Known {
    /// Where it is in the order in which backups were taken.
    pub(crate) fn order(&self) -> Order {
        Order::new(self.sequence, self.created, self.id.clone())
    }
}

impl Judged for Known {
    fn id(&self) -> &BackupId {
        &self.id
    }

    fn created(&self) -> DateTime<Utc> {
        self.created
    }

    fn reason(&self) -> Reason {
        self.reason
    }

    fn is_pinned(&self) -> bool {
        self.pinned
    }

    fn archive_bytes(&self) -> u64 {
        self.archive_bytes
    }
}

impl From<&Backup> for Known {
    fn from(backup: &Backup) -> Self {
        Self {
            id: backup.id().clone(),
            sequence: backup.manifest.sequence,
            label: backup.label.clone(),
            created: backup.manifest.created,
            reason: backup.manifest.reason,
            pinned: backup.pinned,
            archive_bytes: backup.archive_bytes,
        }
    }
}

/// As much of a description as rules and comparisons need: the rest may be long.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Brief {
    archive_bytes: u64,
    #[expect(dead_code, reason = "a description without it is none")]
    archive_sha256: Digest,
    pinned: bool,
    #[serde(default)]
    label: Option<String>,
    manifest: BriefManifest,
}

#[derive(Clone, Debug, Deserialize)]
struct BriefManifest {
    id: BackupId,
    #[serde(default)]
    sequence: Option<u64>,
    created: DateTime<Utc>,
    reason: Reason,
}

impl Brief {
    /// Understands a description.
    pub(super) fn parse(json: &[u8], copy: &Copy) -> Result<Known, String> {
        let brief: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if brief.manifest.id != copy.backup {
            return Err("it belongs to another backup".into());
        }
        Ok(Known {
            id: brief.manifest.id,
            sequence: brief.manifest.sequence,
            label: brief.label,
            created: brief.manifest.created,
            reason: brief.manifest.reason,
            pinned: brief.pinned,
            archive_bytes: brief.archive_bytes,
        })
    }
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of each backup there, newest first; empty where there are no rules.
    pub verdicts: Vec<Verdict>,
    /// The backups to be copied, newest first.
    pub copy: Vec<BackupId>,
    /// The copies to be removed.
    pub remove: Vec<BackupId>,
    /// The backups that are only here and that no rule would keep there.
    pub surplus: Vec<BackupId>,
}

/// Compares what is here with what is there, both newest first, under the rules for there.
pub(super) fn plan(
    here: &[Known],
    there: &[Known],
    retention: Retention,
    protection: &Protection,
    now: DateTime<Utc>,
) -> Plan {
    let mut all: BTreeMap<&BackupId, Known> =
        there.iter().map(|known| (&known.id, known.clone())).collect();
    let is_there = |id: &BackupId| there.iter().any(|known| known.id == *id);
    for known in here {
        // A pin counts wherever it was set.
        all.entry(&known.id).or_insert_with(|| known.clone()).pinned |= known.pinned;
    }
    let mut all: Vec<Known> = all.into_values().collect();
    all.sort_by_key(|known| Reverse(known.order()));
    let mut plan = Plan::default();
    if retention.is_empty() {
        plan.copy = all.into_iter().map(|known| known.id).filter(|id| !is_there(id)).collect();
        return plan;
    }
    let taken = all.iter().map(|known| known.archive_bytes).sum();
    plan.verdicts = retention.judge(&all, protection, now, taken);
    for verdict in &plan.verdicts {
        let id = verdict.backup.clone();
        match (verdict.is_kept(), is_there(&id)) {
            (true, false) => plan.copy.push(id),
            (false, true) => plan.remove.push(id),
            (false, false) => plan.surplus.push(id),
            (true, true) => {}
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    /// Backups of so many days ago.
    fn known(days: &[i64]) -> Vec<Known> {
        let one = |&days: &i64| {
            let created = now() - TimeDelta::days(days);
            let id = BackupId::new(created, [0; 3]);
            let (sequence, label) = (None, None);
            Known {
                id,
                sequence,
                label,
                created,
                reason: Reason::Manual,
                pinned: false,
                archive_bytes: 10,
            }
        };
        days.iter().map(one).collect()
    }

    fn now() -> DateTime<Utc> {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn ids(days: &[i64]) -> Vec<BackupId> {
        known(days).into_iter().map(|known| known.id).collect()
    }

    fn planned(here: &[Known], there: &[Known], retention: Retention) -> Plan {
        plan(here, there, retention, &Protection::default(), now())
    }

    #[test]
    fn without_rules_everything_is_copied_and_nothing_removed() {
        let plan = planned(&known(&[0, 1, 5]), &known(&[1, 9]), Retention::default());
        assert_eq!(plan, Plan { copy: ids(&[0, 5]), ..Plan::default() });
    }

    #[test]
    fn what_the_rules_would_remove_is_not_copied_first() {
        let retention = Retention { last: Some(2), ..Retention::default() };
        let plan = planned(&known(&[0, 1, 5]), &known(&[1, 9]), retention);
        assert_eq!((plan.copy, plan.remove, plan.surplus), (ids(&[0]), ids(&[9]), ids(&[5])));
    }

    #[test]
    fn the_newest_there_is_the_one_that_was_taken_last() {
        let retention = Retention { last: Some(1), ..Retention::default() };
        // Taken first, with a clock that was ahead.
        let mut there = known(&[-900]);
        there[0].sequence = Some(1);
        let mut here = known(&[0]);
        here[0].sequence = Some(2);
        let plan = planned(&here, &there, retention);
        assert_eq!((plan.copy, plan.remove), (ids(&[0]), ids(&[-900])));
    }

    #[test]
    fn a_pin_here_keeps_the_copy_there() {
        let retention = Retention { last: Some(1), ..Retention::default() };
        let mut here = known(&[0, 9]);
        here[1].pinned = true;
        let plan = planned(&here, &known(&[0, 9]), retention);
        assert_eq!((plan.copy, plan.remove), (Vec::new(), Vec::new()));
    }

    #[test]
    fn copies_of_what_is_gone_here_live_by_the_rules_there() {
        let retention = Retention { daily: Some(3), ..Retention::default() };
        let plan = planned(&known(&[0]), &known(&[1, 2, 3, 4]), retention);
        assert_eq!((plan.copy, plan.remove), (ids(&[0]), ids(&[3, 4])));
    }
}
