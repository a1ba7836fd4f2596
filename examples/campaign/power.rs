//! File systems in image files, whose power can be cut: nothing that was not synced reaches them
//! after that. Mounted in a namespace of their own, so that nobody else sees them.

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// Cut off at once, without writing the journal first.
const AT_ONCE: u32 = 2;

nix::ioctl_read!(
    /// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN` are the same number.
    shut_down, b'X', 125, u32
);

/// An image file and where it is mounted.
pub struct Power {
    image: PathBuf,
    mounted: PathBuf,
}

/// Takes this process into a mount namespace of its own.
pub fn separate() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&str>;
    Ok(mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?)
}

impl Power {
    /// Makes a file system (`ext4` or `xfs`) and mounts it.
    pub fn new(kind: &str, folder: &Path) -> io::Result<Self> {
        let (image, mounted) = (folder.join(format!("{kind}.img")), folder.join(kind));
        fs::create_dir_all(&mounted)?;
        // XFS refuses to be smaller. Neither takes more room than what is written to it.
        File::create(&image)?.set_len(320 << 20)?;
        let mut make = Command::new(format!("mkfs.{kind}"));
        if kind == "ext4" {
            // No blocks for root alone: full is full.
            make.args(["-m", "0"]);
        }
        run(make.arg("-q").arg(&image))?;
        let power = Self { image, mounted };
        power.mount()?;
        Ok(power)
    }

    pub fn folder(&self) -> &Path {
        &self.mounted
    }

    /// Everything there is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.mounted)?)?)
    }

    /// Cuts the power.
    #[expect(unsafe_code, reason = "this ioctl has no safe wrapper")]
    pub fn cut(&self) -> io::Result<()> {
        let folder = File::open(&self.mounted)?;
        let mut how = AT_ONCE;
        // SAFETY: the call reads four bytes from where `how` lies.
        unsafe { shut_down(folder.as_raw_fd(), &raw mut how) }?;
        Ok(())
    }

    /// Starts it again.
    pub fn restart(&self) -> io::Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&self) -> io::Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mounted))
    }

    fn unmount(&self) -> io::Result<()> {
        // A script that piton started may still be ending.
        for _ in 0..100 {
            match nix::mount::umount(&self.mounted) {
                Ok(()) => return Ok(()),
                Err(nix::Error::EBUSY) => thread::sleep(Duration::from_millis(10)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("the file system stays busy"))
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        drop(self.unmount());
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Err(io::Error::other(format!("{command:?}: {said}")))
        }
    }
}
