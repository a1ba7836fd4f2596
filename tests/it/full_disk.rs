//! A file system that fills up while a backup is written: a whole backup, or none and an error.

use crate::{
    bad_disk::{can_mount, shell},
    sandbox::Sandbox,
};

const STEP: usize = 64;

/// Bytes that nothing compresses.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Data that the newest backup, in `prior`, shows as far easier to compress than it has become:
/// so the room that a backup takes is underestimated.
fn underestimated(config: &str) -> Sandbox {
    let sandbox = Sandbox::with_users().config(&format!("{config}[backup]\nreserve = \"0B\"\n"));
    sandbox.remove("backups");
    sandbox.write("data/uploads/file", vec![0; 600_000]);
    sandbox.run("backup --compression gzip").success();
    std::fs::rename(sandbox.path("backups"), sandbox.path("prior")).unwrap();
    std::fs::create_dir(sandbox.path("backups")).unwrap();
    sandbox.write("data/uploads/file", noise(600_000));
    sandbox
}

/// Mounts a small file system in place of the backups directory, with the earlier backup in it.
fn mount(kibibytes: usize) -> String {
    format!(
        "mount -t tmpfs -o mode=0700,size={kibibytes}k tmpfs backups\n\
         cp -p prior/2* backups/\n"
    )
}

#[test]
fn at_every_size_a_backup_is_whole_or_none() {
    if !can_mount() {
        return;
    }
    for kind in ["gzip", "zstd", "none"] {
        let sandbox = underestimated(&format!("compression = \"{kind}\"\n"));
        let before = sandbox.data();
        let mut ends = std::collections::BTreeMap::new();
        for kibibytes in (64..1_100).step_by(STEP) {
            let text = format!(
                "{}\"$PITON_BIN\" backup 2> said || code=$?\n\
                 echo \"ended ${{code:-0}}\"; ls -A backups; \"$PITON_BIN\" verify --all\n",
                mount(kibibytes)
            );
            let ran = shell(&sandbox, &text).success();
            let code = ran
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix("ended "))
                .unwrap()
                .to_string();
            let files = |end: &str| ran.stdout.lines().filter(|it| it.contains(end)).count();
            let what = format!("{kind}, {kibibytes} KiB: {}{}", ran.whole(), sandbox.read("said"));
            assert_eq!((files(".partial"), files(".staging")), (0, 0), "{what}");
            let said = sandbox.read("said");
            let wanted = if code == "0" { 2 } else { 1 };
            assert_eq!(files(".json"), wanted, "{what}");
            assert_eq!(ran.stdout.matches("verified 2").count(), wanted, "{what}");
            match code.as_str() {
                "0" => {}
                "4" => assert!(
                    said.contains(" free, and ") && said.contains("hint: free some"),
                    "{what}"
                ),
                "5" => assert!(
                    said.contains("o space left on device") || said.contains("disk is full"),
                    "{what}"
                ),
                _ => panic!("{what}"),
            }
            assert_eq!(said.matches("error: ").count(), usize::from(code != "0"), "{what}");
            assert_eq!(sandbox.data(), before, "{what}");
            *ends.entry(code).or_insert(0) += 1;
        }
        // Refused beforehand, out of room on the way, and whole: each of them was met.
        assert!(["0", "4", "5"].iter().all(|code| ends.contains_key(*code)), "{kind}: {ends:?}");
    }
}

#[test]
fn old_backups_make_room_for_a_new_one() {
    if !can_mount() {
        return;
    }
    let sandbox = underestimated("");
    // Two of them fit beside the earlier one, and a third does not.
    let script = |rules: &str| {
        format!(
            "{}\"$PITON_BIN\" backup --label first > said\n\
             printf 1 >> data/uploads/file; \"$PITON_BIN\" backup --label second >> said\n\
             printf 2 >> data/uploads/file\n\
             printf '[backup]\\nreserve = \"100KiB\"\\n{rules}' > piton.toml\n\
             \"$PITON_BIN\" backup --label third && \"$PITON_BIN\" verify --all && \"$PITON_BIN\" backups\n",
            mount(1_900)
        )
    };
    let ran = shell(&sandbox, &script("")).code(4).one_error();
    let ran = ran.says("the backups there take 1.2 MiB, of which `piton prune` would free 0 B");
    ran.says("hint: free some space, name another disk with `--backups`, or keep fewer");
    let ran = shell(&sandbox, &script("[retention]\\nlast = 1\\n")).success();
    ran.says("  third\n").never_says("  second\n").never_says("  first\n");
}
