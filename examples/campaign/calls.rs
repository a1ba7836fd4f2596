//! Which system calls there are: their names, and which of them change a file system.

use crate::tracer::Point;
use nix::libc;
use std::path::{Path, PathBuf};

/// Calls that change the file system, with `openat` only where it creates or empties a file.
const CHANGING: &[&str] = &[
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "fchmod",
    "chmod",
    "fchmodat",
    "lchown",
    "fchownat",
    "utimensat",
    "creat-open",
    "msync",
    "copy_file_range",
    "sendfile",
    "chown",
    "fchown",
];

/// Names by number, as far as piton and SQLite use them.
const NAMES: &[(i64, &str)] = &[
    (libc::SYS_read, "read"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_write, "write"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_symlinkat, "symlinkat"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fchmodat, "fchmodat"),
    (libc::SYS_fchown, "fchown"),
    (libc::SYS_fchownat, "fchownat"),
    (libc::SYS_utimensat, "utimensat"),
    (libc::SYS_msync, "msync"),
    (libc::SYS_syncfs, "syncfs"),
    (libc::SYS_sync, "sync"),
    (libc::SYS_copy_file_range, "copy_file_range"),
    (libc::SYS_sendfile, "sendfile"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_statfs, "statfs"),
    (libc::SYS_fstatfs, "fstatfs"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_close, "close"),
    (libc::SYS_lseek, "lseek"),
];

/// Those that newer architectures do not have any more.
#[cfg(target_arch = "x86_64")]
const OLD_NAMES: &[(i64, &str)] = &[
    (libc::SYS_open, "openat"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_link, "link"),
    (libc::SYS_symlink, "symlink"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_rmdir, "rmdir"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_chmod, "chmod"),
    (libc::SYS_chown, "chown"),
    (libc::SYS_lchown, "lchown"),
    (libc::SYS_stat, "stat"),
    (libc::SYS_lstat, "lstat"),
    (libc::SYS_readlink, "readlink"),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: &[(i64, &str)] = &[];

/// The name of the call at which the program stands; `creat-open` is an `openat` that creates or
/// empties a file.
pub fn name(point: &Point) -> &'static str {
    let found = NAMES.iter().chain(OLD_NAMES).find(|(number, _)| *number == point.number);
    match found {
        Some((number, "openat")) => {
            let flags = if *number == libc::SYS_openat { 2 } else { 1 };
            let creating = (libc::O_CREAT | libc::O_TRUNC).cast_unsigned();
            match point.arguments[flags] & u64::from(creating) {
                0 => "openat",
                _ => "creat-open",
            }
        }
        Some((_, name)) => name,
        None => "other",
    }
}

/// Whether the call changes the file system.
pub fn is_changing(point: &Point) -> bool {
    // Standard output and standard error are no files of a project.
    let talks = matches!(name(point), "write") && point.arguments[0] <= 2;
    !talks && CHANGING.contains(&name(point))
}

/// The call with the files that it is about, to show what a trial did.
pub fn shown(point: &Point) -> String {
    let paths: Vec<String> = paths(point).iter().map(|path| path.display().to_string()).collect();
    format!("{} {}", name(point), paths.join(" "))
}

/// Whether the call is about something below a folder, which is the process's own.
pub fn concerns(point: &Point, folder: &Path) -> bool {
    let inside = |path: &PathBuf| path.is_relative() || path.starts_with(folder);
    !name(point).is_empty() && paths(point).iter().any(inside)
}

/// Whether the call is about this very file.
pub fn is_about(point: &Point, file: &Path) -> bool {
    paths(point).iter().any(|path| path == file)
}

/// The path that a call asks about, where it does nothing but ask.
pub fn looked_at(point: &Point) -> Option<String> {
    match name(point) {
        "statx" => text_at(point.process, point.arguments[1]),
        _ => None,
    }
}

/// The files that a call is about.
fn paths(point: &Point) -> Vec<PathBuf> {
    let process = point.process;
    let text = |address: u64| text_at(process, address).map(PathBuf::from);
    let [first, second, third, fourth, ..] = point.arguments;
    let found = match name(point) {
        "rename" | "link" | "symlink" => vec![text(first), text(second)],
        "renameat" | "renameat2" | "linkat" => vec![text(second), text(fourth)],
        "symlinkat" => vec![text(first), text(third)],
        "unlink" | "rmdir" | "mkdir" | "chmod" | "lchown" | "chown" | "stat" | "lstat"
        | "readlink" | "statfs" => vec![text(first)],
        "creat-open" | "openat" if point.number != libc::SYS_openat => vec![text(first)],
        "creat-open" | "openat" | "unlinkat" | "mkdirat" | "fchmodat" | "fchownat"
        | "utimensat" | "statx" => vec![text(second)],
        "other" | "mmap" | "sync" => Vec::new(),
        _ => vec![std::fs::read_link(format!("/proc/{process}/fd/{first}")).ok()],
    };
    found.into_iter().flatten().filter(|path| !path.as_os_str().is_empty()).collect()
}

/// A text in the memory of a process that stands still.
fn text_at(process: nix::unistd::Pid, address: u64) -> Option<String> {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).ok()?;
    let mut bytes = [0; 1024];
    let count = memory.read_at(&mut bytes, address).ok()?;
    let end = bytes[..count].iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}
