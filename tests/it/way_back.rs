//! The way back is secured before anything sets out that SQL alone cannot undo: mounts inside the data
//! directory, and room for a restore. Mounting needs root and `unshare`; without them the tests say so.

use crate::{
    bad_disk::{can_mount, shell},
    sandbox::Sandbox,
};

const SERVICE: &str = r#"
[deploy]
rehearse = false
[deploy.service]
manager = "command"
stop = "echo stop >> stops; rm -f running"
start = "touch running; test ! -e data/uploads || echo new > data/uploads/of-the-service"
status = "test -e running || exit 3"
[deploy.health]
window = "50ms"
deadline = "1s"
interval = "20ms"
[[deploy.health.query]]
database = "app.db"
sql = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'bad')"
"#;

fn pending_script() -> Sandbox {
    Sandbox::with_users()
        .file("migrations/002_touch.sh", "#!/bin/sh\necho ran > \"$PITON_DATA_DIR/ran\"\n")
}

#[test]
fn a_database_on_another_mount_is_refused_before_a_script_or_a_deploy() {
    if !can_mount() {
        return;
    }
    let mount = "mkdir -p data/other volume\nmount --bind volume data/other\n\
        sqlite3 data/other/b.db 'CREATE TABLE t (a)'\n";
    let config = "database = \"other/b.db\"\n";
    let sandbox = Sandbox::new()
        .file("data/keep", "")
        .migration("001_a.sql", "CREATE TABLE a (b);")
        .config(&format!("{config}{SERVICE}"));
    // SQL undoes itself.
    shell(&sandbox, &format!("{mount}\"$PITON_BIN\" up")).success();
    let sandbox = sandbox.file("migrations/002_x.sh", "#!/bin/sh\ntouch ran\n").file("running", "");
    for command in ["up", "deploy --yes"] {
        let text = format!("mount --bind volume data/other\n\"$PITON_BIN\" {command}");
        let ran = shell(&sandbox, &text).code(4);
        ran.says("`other/b.db` lies on another mount than the data directory");
    }
    let sandbox = sandbox.file("scripts/y.sh", "#!/bin/sh\n# database: other/b.db\ntouch ran\n");
    shell(&sandbox, "mount --bind volume data/other\n\"$PITON_BIN\" run y").code(4);
    assert!(!sandbox.exists("stops") && !sandbox.exists("ran"));
}

#[test]
fn a_run_with_a_script_needs_room_for_the_restore() {
    if !can_mount() {
        return;
    }
    let sandbox = pending_script();
    sandbox.write("data/big.bin", "x".repeat(3 << 20));
    let mount = |size: &str| {
        format!(
            "cp -a data copy\nmount -t tmpfs -o size={size} tmpfs data\ncp -a copy/. data/\nrm -r copy\n"
        )
    };
    let text = |size| format!("{}\"$PITON_BIN\" up; test -e data/ran && echo it ran", mount(size));
    let ran = shell(&sandbox, &text("20m")).code(4);
    let ran = ran.says("and putting things back if this fails needs 19.").never_says("it ran");
    ran.says("hint: free so much on the file system of `");
    shell(&sandbox, &text("30m")).success().says("it ran");
    // What SQL undoes needs none.
    let sandbox = Sandbox::with_users().migration("002_t.sql", "CREATE TABLE t (a);");
    sandbox.write("data/big.bin", "x".repeat(3 << 20));
    shell(&sandbox, &format!("{}\"$PITON_BIN\" up", mount("20m"))).success();
}

#[test]
fn a_deploy_needs_room_for_three_backups_and_for_the_restore() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_users()
        .config(&format!("{SERVICE}[backup]\nreserve = \"0B\"\n"))
        .migration("002_t.sql", "CREATE TABLE t (a);")
        .file("running", "");
    sandbox.remove("backups");
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    sandbox.write("data/noise", noise.take(1 << 20).collect::<Vec<u8>>());
    let text = |size: &str| {
        format!(
            "mkdir -p backups\nmount -t tmpfs -o mode=0700,size={size} tmpfs backups\n\"$PITON_BIN\" deploy --yes"
        )
    };
    let ran = shell(&sandbox, &text("2500k")).code(4);
    ran.says("and the backups need about");
    assert!(!sandbox.exists("stops"));
    shell(&sandbox, &text("8m")).success();
}

#[test]
fn a_volume_that_the_service_writes_to_does_not_keep_the_databases_from_going_back() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_users()
        .config(SERVICE)
        .migration("002_bad.sql", "CREATE TABLE bad (a);")
        .file("volume/picture", "old")
        .file("running", "");
    let text =
        "mkdir -p data/uploads\nmount --bind volume data/uploads\n\"$PITON_BIN\" deploy --yes";
    let ran = shell(&sandbox, text).code(11);
    ran.says("`uploads` is mounted there and stays as it is now");
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'bad'"),
        "0"
    );
    assert_eq!(sandbox.read("volume/of-the-service"), "new\n");
    assert_eq!(sandbox.read("volume/picture"), "old");
    assert!(sandbox.exists("running"));
}

#[test]
fn a_script_that_changes_a_volume_and_fails_leaves_the_databases_as_they_were() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_users().file("volume/picture", "old").file(
        "migrations/002_x.sh",
        "#!/bin/sh\necho new > data/uploads/picture; echo x > data/made; exit 1\n",
    );
    let text = "mkdir -p data/uploads\nmount --bind volume data/uploads\n\"$PITON_BIN\" up";
    let ran = shell(&sandbox, text).code(6);
    ran.says("`uploads` is mounted there and stays as it is now");
    assert!(!sandbox.exists("data/made"));
    assert_eq!(sandbox.read("volume/picture"), "new\n");
}

#[test]
fn a_rollback_leaves_a_volume_that_has_changed_since_the_run() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_users()
        .migration("002_t.sql", "CREATE TABLE later (a);")
        .file("volume/picture", "old");
    let text = "mkdir -p data/uploads\nmount --bind volume data/uploads\n\"$PITON_BIN\" up\n\
        echo new > data/uploads/picture\n\"$PITON_BIN\" rollback --yes";
    let ran = shell(&sandbox, text).success();
    ran.says("`uploads` is mounted there and stays as it is now");
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'later'"),
        "0"
    );
    assert_eq!(sandbox.read("volume/picture"), "new\n");
    // A restore that was asked for by its name does all or nothing.
    let id = sandbox.backups().pop().unwrap();
    let text = format!(
        "mount --bind volume data/uploads\n\"$PITON_BIN\" restore {id} --yes || \"$PITON_BIN\" restore latest --yes"
    );
    shell(&sandbox, &text).code(4).says("lies on another file system");
}

#[test]
fn a_rehearsal_asks_for_its_room() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::with_users().migration("002_t.sql", "CREATE TABLE t (a);");
    sandbox.write("data/big.bin", "x".repeat(12 << 20));
    let text = "cp -a data copy\nmount -t tmpfs -o size=20m tmpfs data\ncp -a copy/. data/\nrm -r copy\n\
        \"$PITON_BIN\" rehearse; ls -A data";
    let ran = shell(&sandbox, text).code(4).one_error();
    ran.says("and the files of the rehearsal need about 12.")
        .says("hint: free so much on the file system of `");
}

#[test]
fn a_deploy_goes_back_although_the_backups_have_no_room_any_more() {
    if !can_mount() {
        return;
    }
    let config = SERVICE.replace(
        "touch running;",
        "touch running; dd if=/dev/zero of=backups/fill bs=64k count=900;",
    );
    let sandbox = Sandbox::with_users()
        .config(&config)
        .file(
            "migrations/002_x.sh",
            "#!/bin/sh\nsqlite3 \"$PITON_DATABASE\" 'CREATE TABLE bad (a)'\n",
        )
        .file("running", "");
    let text = "mount -t tmpfs -o mode=0700,size=40m tmpfs backups\n\"$PITON_BIN\" deploy --yes";
    let ran = shell(&sandbox, text).code(11);
    ran.says("no backup of the failed state").says("its files are in the undo area");
    assert_eq!(
        sandbox.query("app.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'bad'"),
        "0"
    );
    assert!(sandbox.exists("running"));
}
