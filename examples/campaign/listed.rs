//! Steps whose absence no campaign can notice, each with the reason.

/// A step, and why it is not missed.
pub struct Listed {
    pub label: &'static str,
    pub why: Why,
}

pub enum Why {
    /// Another step keeps the same, and which.
    Covered(&'static str),
    /// Nothing is promised of what it keeps.
    PromisesNothing(&'static str),
    /// It cannot be run here, and what holds it instead.
    Elsewhere(&'static str),
}

impl Listed {
    pub fn shown(&self) -> String {
        match self.why {
            Why::Covered(by) => format!("covered: {by}"),
            Why::PromisesNothing(why) => format!("promises nothing: {why}"),
            Why::Elsewhere(by) => format!("elsewhere: {by}"),
        }
    }
}

const WORTH_NOTHING: &str = "every copying compares the note with what lies there";
const WITHOUT_POINT: &str = "without it the rollback point is archived while the service is down";
const IN_RUN: &str = "the drop-in lies in `/run`, which a power cut empties";

pub const ALL: &[Listed] = &[
    elsewhere("barrier", "it needs systemd: the tests of `barrier.rs` and `tests/it/systemd.rs`"),
    promises_nothing("barrier.sync", IN_RUN),
    promises_nothing("barrier.sync-folder", IN_RUN),
    promises_nothing("fence.sync", "that it is there is what counts; its text is for people"),
    covered("fence.sync-folder", "`deploy-record` of the next phase, which syncs the same folder"),
    promises_nothing("folded-next@link", "it only asks whether files can have second names"),
    promises_nothing("offsite-note", WORTH_NOTHING),
    promises_nothing("offsite-note.sync", WORTH_NOTHING),
    promises_nothing("offsite-note.sync-folder", WORTH_NOTHING),
    promises_nothing("point-files", WITHOUT_POINT),
    promises_nothing("point-files.sync", WITHOUT_POINT),
    promises_nothing("point-files.sync-folder", WITHOUT_POINT),
    promises_nothing("point-note", WITHOUT_POINT),
    covered(
        "point-note-sync@sync",
        "`deploy-record`: nobody waits for what is removed, and the next deploy removes it first",
    ),
    promises_nothing("prune-end@sync", "what comes back has a partial name, and is swept"),
    covered(
        "publish-manifest.sync-folder",
        "the manifest in the archive, read where none lies beside it",
    ),
    covered("staging-sync@sync", "`journal-write`, which syncs the same folder"),
    covered("prune-sync@sync", "the manifest in the archive, read where none lies beside it"),
];

const fn covered(label: &'static str, by: &'static str) -> Listed {
    Listed { label, why: Why::Covered(by) }
}

const fn promises_nothing(label: &'static str, why: &'static str) -> Listed {
    Listed { label, why: Why::PromisesNothing(why) }
}

const fn elsewhere(label: &'static str, by: &'static str) -> Listed {
    Listed { label, why: Why::Elsewhere(by) }
}
