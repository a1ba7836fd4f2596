//! Giving back the room of large files, which takes the system a while, beside other work.

use super::{Result, open_to_read, remove_file};
use std::{
    path::Path,
    thread::{Builder, JoinHandle},
};

/// Files whose names are gone, and whose room soon is free again.
#[derive(Default)]
pub struct Freeing(Option<JoinHandle<()>>);

impl Freeing {
    /// Removes a file; its name is gone at once.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn remove(&mut self, point: &'static str, path: &Path) -> Result<()> {
        let file = open_to_read(path)?;
        remove_file(point, path)?;
        self.wait();
        // The last one who has the file open frees its room. Without a thread, that is done here.
        self.0 = Builder::new().spawn(move || drop(file)).ok();
        Ok(())
    }

    /// Returns when the room is free.
    pub fn wait(&mut self) {
        // Closing a file does not panic.
        self.0.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::Freeing;

    #[test]
    fn a_removed_file_is_gone_at_once_and_one_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let mut freeing = Freeing::default();
        for _ in 0..2 {
            std::fs::write(&path, vec![1; 1 << 20]).unwrap();
            freeing.remove("freeing", &path).unwrap();
            assert!(!path.exists());
        }
        freeing.wait();
        freeing.remove("freeing", &path).unwrap_err();
    }
}
