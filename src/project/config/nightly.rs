//! The tables of what happens at night: `[drill]`.

use super::{super::drill::DrillKeys, DrillConfig, Reader};
use crate::Result;
use std::path::Path;

impl Reader<'_> {
    pub(super) fn drill(&self, keys: &DrillKeys) -> Result<DrillConfig> {
        let mut drill = keys.checked().map_err(|(span, reason)| self.wrong(span, reason))?;
        let parent = self.path.parent().unwrap_or(Path::new(""));
        drill.folder = drill.folder.map(|folder| parent.join(folder));
        Ok(drill)
    }
}
