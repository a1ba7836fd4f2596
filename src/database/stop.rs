//! Ends what SQLite does for a plan when somebody asks for it: a guard or a replay may take long.
//!
//! A plan changes nothing, so it may end anywhere. Each connection that a thread opens inside of
//! [`stoppable`] looks at the sign while a statement runs; outside of it nothing is stopped.

use rusqlite::Connection;
use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Steps of SQLite's machine between two looks: far less than a millisecond.
const STEPS: i32 = 10_000;

thread_local! {
    static SIGN: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Does something whose connections stop when the sign is set.
pub(crate) fn stoppable<T>(sign: &Arc<AtomicBool>, act: impl FnOnce() -> T) -> T {
    let before = SIGN.replace(Some(Arc::clone(sign)));
    let result = act();
    SIGN.set(before);
    result
}

/// Whether the sign of this thread is set.
pub(crate) fn is_stopped() -> bool {
    SIGN.with_borrow(|sign| sign.as_ref().is_some_and(|sign| sign.load(Ordering::Relaxed)))
}

/// Lets a new connection look at the sign, if there is one.
pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    let Some(sign) = SIGN.with_borrow(Clone::clone) else { return Ok(()) };
    connection.progress_handler(STEPS, Some(move || sign.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::stoppable;
    use crate::database::open_scratch;
    use std::sync::{Arc, atomic::AtomicBool};

    const LONG: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) \
                        SELECT count(*) FROM c";

    #[test]
    fn a_long_statement_stops_inside_alone() {
        let sign = Arc::new(AtomicBool::new(true));
        let count = |it: &rusqlite::Connection| it.query_row(LONG, [], |row| row.get::<_, i64>(0));
        stoppable(&sign, || {
            assert!(super::is_stopped());
            assert!(count(&open_scratch().unwrap()).is_err());
        });
        assert!(!super::is_stopped());
        assert_eq!(count(&open_scratch().unwrap()), Ok(100_000));
    }
}
