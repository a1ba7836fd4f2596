//! `rename`: a table or column gets a name that a release which still runs does not know.

use super::{
    lineage::Lineage,
    scene::{Knowledge, Scene},
};
use crate::plan::finding::{Finding, Severity};

/// The findings. On a new database no release runs yet.
pub fn analyze(scene: &Scene<'_>, lineage: &Lineage) -> Vec<Finding> {
    if matches!(scene.knowledge, Knowledge::New) {
        return Vec::new();
    }
    let concerns = lineage
        .renames
        .iter()
        .filter(|rename| rename.live.is_some() || matches!(scene.knowledge, Knowledge::Unknown));
    concerns
        .map(|rename| {
            let message = format!(
                "`{}` becomes `{}`: a release that still runs does not know the new name",
                rename.old, rename.new
            );
            scene.finding(rename.at, "rename", Severity::Warning, message)
        })
        .collect()
}
