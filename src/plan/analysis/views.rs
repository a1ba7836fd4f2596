//! `view-broken`: views and triggers that SQLite prepared before the pending files, and does not after
//! them all.

use super::scene::Scene;
use crate::plan::finding::{Finding, Severity};

/// The findings of a scene.
pub fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let acts = |unit: usize| scene.steps.iter().any(|at| at.unit == unit);
    let broken = scene.timeline.broken.iter().filter(|(_, (unit, _))| acts(*unit));
    broken
        .map(|(what, (unit, why))| {
            let title = &scene.units[*unit].title;
            let message = format!("after `{title}` SQLite cannot prepare {what}: {why}");
            Finding::new("view-broken", Severity::Denied, message).about(title).hint(
                "drop the view or trigger and make it again in the same file, or add a line \
                 `-- allow: view-broken REASON` if a later release does so",
            )
        })
        .collect()
}
