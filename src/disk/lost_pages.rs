//! What is said where a file that is mapped into memory loses its pages: the disk is full, or another
//! process has shortened the file. The system sends SIGBUS then, which ends a process without a word.

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

#[expect(unsafe_code, reason = "only these two calls may be made in a signal handler")]
extern "C" fn end(_: libc::c_int) {
    const SAID: &[u8] = b"error: a file that was read or written has lost its pages: the disk is full or broken, or \
        another process has shortened the file\n  hint: free some space on the disk, then run `piton recover`\n";
    // SAFETY: write(2) and _exit(2) are safe in a signal handler; the text is constant.
    unsafe {
        libc::write(2, SAID.as_ptr().cast(), SAID.len());
        libc::_exit(5)
    }
}
