//! The tables of what happens at night: `[drill]`, `[notify]`, and `every` under `[backup]`.

use super::{
    super::{
        drill::DrillKeys,
        notify::{Notify, NotifyKeys},
        retention::span,
        sealing::BackupKeys,
    },
    DrillConfig, Reader,
};
use crate::Result;
use std::{path::Path, time::Duration};

impl Reader<'_> {
    pub(super) fn drill(&self, keys: &DrillKeys) -> Result<DrillConfig> {
        let mut drill = keys.checked().map_err(|(span, reason)| self.wrong(span, reason))?;
        let parent = self.path.parent().unwrap_or(Path::new(""));
        drill.folder = drill.folder.map(|folder| parent.join(folder));
        Ok(drill)
    }

    pub(super) fn notify(&self, keys: &NotifyKeys, root: &Path) -> Result<Option<Notify>> {
        keys.checked(root).map_err(|(span, reason)| self.wrong(span, reason))
    }

    pub(super) fn every(&self, keys: &BackupKeys) -> Result<Option<Duration>> {
        let Some(text) = &keys.every else { return Ok(None) };
        let wrong = |reason| self.wrong(text.span(), format!("`backup.every`: {reason}"));
        match span(text.get_ref()).map_err(wrong)? {
            Duration::ZERO => Err(wrong("a time of nothing cannot be kept".into())),
            every => Ok(Some(every)),
        }
    }
}
