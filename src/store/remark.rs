//! What people say about a backup after it was taken: pinned or not, its label. It lies in the
//! manifest beside the archive; the archive itself never changes.

use super::{Backup, Selector, Store};
use crate::Result;

/// One change of what is said about a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Pruning leaves it alone.
    Pin,
    /// Pruning may remove it.
    Unpin,
    /// It has this label from now on, or none.
    Label(Option<String>),
}

impl Remark {
    /// Says it about a backup.
    pub(crate) fn apply(&self, backup: &mut Backup) {
        match self {
            Self::Pin => backup.pinned = true,
            Self::Unpin => backup.pinned = false,
            Self::Label(label) => backup.label.clone_from(label),
        }
    }
}

impl Store {
    /// Changes what is said about a backup; tells whether anything is different now.
    ///
    /// # Errors
    /// Those of [`Store::find`]; the system's, with the path.
    pub fn remark(&self, selector: &Selector, remark: &Remark) -> Result<(Backup, Changed)> {
        // Looked at before the session, which would create a directory that is not there.
        let id = self.find(selector)?.id().clone();
        let session = self.session()?;
        // Read again, because another session may have written it meanwhile.
        let before = self.load(&id)?;
        let mut backup = before.clone();
        remark.apply(&mut backup);
        if backup == before {
            return Ok((backup, Changed::No));
        }
        session.describe(&backup)?;
        Ok((backup, Changed::Yes))
    }
}

/// Whether something is different now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is.
    Yes,
    /// It was so before.
    No,
}
