//! What is said where a file that is mapped into memory loses its pages: the disk is full, or another
//! process has shortened the file. The system sends SIGBUS then, which ends a process without a word.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many are changing live data now.
static CHANGING: AtomicUsize = AtomicUsize::new(0);

/// Live data may be between two states as long as it lives.
#[must_use]
pub struct Changing(());

impl Changing {
    /// From now on.
    pub fn begin() -> Self {
        CHANGING.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        CHANGING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// From now on such an end says why. What was begun is finished or reverted by the next command, as
/// after any kill.
#[expect(
    unsafe_code,
    reason = "a signal handler has no safe wrapper; this one only writes and ends"
)]
pub fn explain_lost_pages() {
    let handler: extern "C" fn(libc::c_int) = end;
    // SAFETY: the handler makes two system calls that may be made in it.
    unsafe {
        libc::signal(libc::SIGBUS, handler as libc::sighandler_t);
    }
}

/// Ends with the code of a system that failed, or of data that is not as before.
#[expect(unsafe_code, reason = "only these two calls may be made in a signal handler")]
extern "C" fn end(_: libc::c_int) {
    const SAID: &[u8] = b"error: a file that was read or written has lost its pages: the disk is full or broken, or \
        another process has shortened the file\n";
    const BEFORE: &[u8] = b"  hint: free some space on the disk, then type the same again\n";
    const BETWEEN: &[u8] = b"  hint: the data may have changed: free some space on the disk, then `piton recover`, and \
        `piton status` shows what is to be done\n";
    let (hint, code) = match CHANGING.load(Ordering::SeqCst) {
        0 => (BEFORE, 5),
        _ => (BETWEEN, 7),
    };
    // SAFETY: write(2) and _exit(2) are safe in a signal handler; the texts are constant.
    unsafe {
        libc::write(2, SAID.as_ptr().cast(), SAID.len());
        libc::write(2, hint.as_ptr().cast(), hint.len());
        libc::_exit(code)
    }
}
