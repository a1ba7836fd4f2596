//! Databases that SQLite cannot read here, such as encrypted ones: never torn, and never replaced under a
//! process.

use crate::sandbox::Sandbox;
use std::fs;

/// A file of whole pages that is no database of SQLite, as an encrypted one looks.
fn with_encrypted() -> (Sandbox, String) {
    let sandbox = Sandbox::with_users();
    sandbox.write("data/secret.bin", [7; 4096]);
    sandbox.write("data/secret.bin-wal", [8; 512]);
    sandbox.write("data/named.db", [9; 4096]);
    let id = sandbox.back_up();
    sandbox.run(&format!("backups {id}")).success().says("`secret.bin` may be a database");
    sandbox.write("data/secret.bin", [1; 4096]);
    sandbox.write("data/named.db", [1; 4096]);
    (sandbox, id)
}

#[test]
fn a_database_that_cannot_be_read_is_not_replaced_under_a_process() {
    for name in ["secret.bin", "secret.bin-wal", "named.db"] {
        let (sandbox, id) = with_encrypted();
        sandbox.write("data/secret.bin-wal", [1; 512]);
        let before = sandbox.data();
        let held = fs::File::open(sandbox.path("data").join(name)).unwrap();
        let named = format!("`{}` by pid {}", name.trim_end_matches("-wal"), std::process::id());
        sandbox.run(&format!("restore {id} --dry-run")).success().says(&named);
        for words in ["--yes", "--yes --hot"] {
            sandbox.run(&format!("restore {id} {words}")).code(9).says(&named);
        }
        assert_eq!(sandbox.data(), before);
        drop(held);
        sandbox.run(&format!("restore {id} --yes")).success();
        assert_eq!(fs::read(sandbox.path("data/secret.bin")).unwrap(), [7; 4096]);
        assert_eq!(fs::read(sandbox.path("data/secret.bin-wal")).unwrap(), [8; 512]);
        let held = fs::File::open(sandbox.path("data").join(name)).unwrap();
        sandbox.run("restore --undo --yes").code(9).says(&named);
        drop(held);
        sandbox.run("restore --undo --yes").success();
        assert_eq!(sandbox.data(), before);
    }
}

#[test]
fn while_a_process_has_one_open_nobody_knows_whether_it_is_the_same() {
    let (sandbox, _) = with_encrypted();
    let id = sandbox.back_up();
    let held = fs::File::open(sandbox.path("data/named.db")).unwrap();
    let named = format!("`named.db` by pid {}", std::process::id());
    sandbox.run(&format!("restore {id} --yes")).code(9).says(&named);
    drop(held);
    sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
}

#[test]
fn a_database_that_cannot_be_read_is_not_read_while_it_is_written_to() {
    let (sandbox, _) = with_encrypted();
    let path = sandbox.path("data/secret.bin");
    let writer = fs::File::options().read(true).write(true).open(path).unwrap();
    rustix::fs::fcntl_lock(&writer, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ran = sandbox.run("backup --barrier-limit 1s").code(5).one_error();
    ran.says("data/secret.bin` was locked by a writer").says("--barrier-limit");
    drop(writer);
    sandbox.run("backup").success();
}

#[test]
fn one_that_a_process_has_open_is_never_called_unchanged() {
    for name in ["secret.bin", "secret.bin-wal", "named.db"] {
        let sandbox = Sandbox::with_users();
        sandbox.write("data/secret.bin", [7; 4096]);
        sandbox.write("data/secret.bin-wal", [8; 512]);
        sandbox.write("data/named.db", [9; 4096]);
        let id = sandbox.back_up();
        let before = sandbox.data();
        // Free, and equal byte for byte.
        sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
        let held = fs::File::open(sandbox.path("data").join(name)).unwrap();
        let named = format!("`{}` by pid {}", name.trim_end_matches("-wal"), std::process::id());
        sandbox.run(&format!("restore {id} --dry-run")).success().says(&named);
        sandbox.run(&format!("restore {id} --yes")).code(9).says(&named);
        // What is not concerned holds nothing up.
        sandbox.run(&format!("restore {id} --yes --only /app.db")).success();
        // Nothing would be written into it.
        sandbox.run(&format!("restore {id} --yes --hot")).success().says("nothing to do");
        drop(held);
        sandbox.run(&format!("restore {id} --yes")).success().says("nothing to do");
        assert_eq!(sandbox.data(), before);
    }
}

#[test]
fn an_open_one_does_not_stop_a_run_from_going_back() {
    let (sandbox, _) = with_encrypted();
    sandbox.write("migrations/002_a.sql", "ALTER TABLE users ADD COLUMN a;\n");
    sandbox.write("migrations/003_b.sh", "#!/bin/sh\nexit 1\n");
    let held = fs::File::open(sandbox.path("data/secret.bin")).unwrap();
    sandbox.run("up --yes").code(6);
    assert!(!sandbox.query("app.db", "SELECT sql FROM sqlite_schema").contains("a)"));
    drop(held);
}
