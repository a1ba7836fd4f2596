//! A defect ends in a report like any other: a sentence, the document, a documented exit code.

use piton::Error;
use std::{
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    sync::{Mutex, PoisonError},
};

/// What the first thread that panicked said, and where.
static SAID: Mutex<Option<String>> = Mutex::new(None);

/// Does something; a panic in it becomes an error. What it had locked or begun is released on the way.
pub fn caught<T>(act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |place| format!(" ({place})"));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        let text = text.replace('\n', " ");
        SAID.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(format!("{text}{place}"));
    }));
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
        let said = SAID.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(Error::Internal(said.unwrap_or_default()).into())
    })
}
