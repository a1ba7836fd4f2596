//! The projects that trials begin with: several databases in every state that a service leaves
//! them in, files, links, backups.

use crate::{files::copy_file, project::Project};
use piton::rusqlite::{self, Connection};
use std::{
    error::Error,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

pub type Made<T> = Result<T, Box<dyn Error>>;

const ITEMS: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT);\n\
    INSERT INTO items (name, text) SELECT 'first ' || value, printf('%.*c', 300, 'x') \
    FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12]');\n";
const NOTES: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);\n\
    INSERT INTO notes (text) VALUES ('one'), ('two');\n";
const CONFIG: &str = "[targets.notes]\ndatabases = \"notes.db\"\n";

/// A project with a backup, and changes of every kind since then. Its databases: `app.db` with a
/// log that nobody has folded, `notes.db` at rest, `sub/third.db` with a hot journal.
pub fn lived(project: &Project) -> Made<()> {
    fs::create_dir_all(&project.folder)?;
    project.write("piton.toml", CONFIG)?;
    project.write("migrations/001_items.sql", ITEMS)?;
    project.write("migrations/notes/001_notes.sql", NOTES)?;
    project.run("up")?.expect(0, "the first `up`")?;
    let data = project.data();
    project.write("data/uploads/a.txt", "first a")?;
    project.write("data/uploads/b.txt", "first b")?;
    project.write("data/uploads/deep/c.txt", "first c")?;
    std::os::unix::fs::symlink("uploads/a.txt", data.join("link"))?;
    fs::create_dir(data.join("sub"))?;
    third(&data.join("sub/third.db"))?;
    fs::set_permissions(data.join("uploads"), fs::Permissions::from_mode(0o750))?;
    project.run("backup --label first")?.expect(0, "the first backup")?;

    unfolded(&data.join("app.db"))?;
    Connection::open(data.join("notes.db"))?
        .execute_batch("INSERT INTO notes (text) VALUES ('second')")?;
    hot(&data.join("sub/third.db"))?;
    project.write("data/uploads/a.txt", "second a")?;
    project.write("data/uploads/new.txt", "second new")?;
    fs::remove_file(data.join("uploads/b.txt"))?;
    fs::remove_dir_all(data.join("uploads/deep"))?;
    project.write("data/extra/more.txt", "second more")?;
    fs::remove_file(data.join("link"))?;
    std::os::unix::fs::symlink("uploads/new.txt", data.join("link"))?;
    Ok(())
}

/// Migrations of the default database, and of another one.
pub fn pending(project: &Project, with: Pending) -> Made<()> {
    project.write(
        "migrations/002_size.sql",
        "ALTER TABLE items ADD COLUMN size INTEGER;\nUPDATE items SET size = length(text);\n",
    )?;
    if with == Pending::Script {
        project.write(
            "migrations/003_uploads.sh",
            &format!("#!/bin/sh\necho moved >\"$PITON_DATA_DIR/{SCRIPTED}\"\n"),
        )?;
    }
    project.write(
        "migrations/004_tags.sql",
        "CREATE TABLE tags (item INTEGER REFERENCES items (id), tag TEXT);\n\
         INSERT INTO tags SELECT id, 'tag ' || id FROM items;\n",
    )?;
    if with != Pending::One {
        project.write(
            "migrations/notes/002_kind.sql",
            "ALTER TABLE notes ADD COLUMN kind TEXT;\n\
             CREATE INDEX notes_by_kind ON notes (kind);\nUPDATE notes SET kind = 'plain';\n",
        )?;
    }
    Ok(())
}

/// What the pending script writes.
pub const SCRIPTED: &str = "uploads/moved.txt";

/// What is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// SQL of one database.
    One,
    /// SQL of two databases.
    Two,
    /// SQL of two databases, with a script in between.
    Script,
}

/// More backups, and rules that keep only some of them.
pub fn many_backups(project: &Project) -> Made<()> {
    for number in 0..5 {
        project.write("data/uploads/a.txt", &format!("state {number}"))?;
        project.run("backup")?.expect(0, "one more backup")?;
    }
    project.write("piton.toml", &format!("{CONFIG}\n[retention]\nlast = 2\n"))?;
    Ok(())
}

fn third(path: &Path) -> rusqlite::Result<()> {
    Connection::open(path)?.execute_batch(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);\n\
         INSERT INTO t (text) SELECT printf('%.*c', 900, 'y') \
         FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]');",
    )
}

/// Leaves committed rows in a write-ahead log, as a service that was killed does.
fn unfolded(path: &Path) -> Made<()> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.execute_batch(
        "INSERT INTO items (name) VALUES ('second');\n\
         UPDATE items SET text = printf('%.*c', 250, 'z') WHERE id % 3 = 0;",
    )?;
    as_if_killed(path, connection)
}

/// Leaves half a transaction in the database and what takes it back in its journal.
fn hot(path: &Path) -> Made<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "INSERT INTO t (text) VALUES ('second');\n\
         PRAGMA cache_size = 2;\nBEGIN;\n\
         UPDATE t SET text = printf('%.*c', 900, 'n');",
    )?;
    as_if_killed(path, connection)
}

/// Copies the files while the connection is open, and puts the copies in place once it is closed.
fn as_if_killed(path: &Path, connection: Connection) -> Made<()> {
    let files: Vec<PathBuf> = ["", "-wal", "-shm", "-journal"]
        .iter()
        .map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())))
        .filter(|file| file.exists())
        .collect();
    let kept = |file: &Path| PathBuf::from(format!("{}.kept", file.display()));
    for file in &files {
        // Another name, so that no descriptor of the database itself is closed here.
        let bytes = std::process::Command::new("cp").arg(file).arg(kept(file)).status()?;
        if !bytes.success() {
            return Err(format!("cannot copy `{}`", file.display()).into());
        }
    }
    drop(connection);
    for file in &files {
        copy_file(&kept(file), file)?;
        fs::remove_file(kept(file))?;
    }
    Ok(())
}

/// A project whose database is archived where it lies (32 MiB and more, with a rollback journal).
pub fn large(project: &Project) -> Made<()> {
    fs::create_dir_all(project.data())?;
    Connection::open(project.data().join("app.db"))?.execute_batch(&format!(
        "PRAGMA synchronous = OFF; {ITEMS} CREATE TABLE room (it BLOB);\n\
         INSERT INTO room SELECT zeroblob(1048576) FROM json_each('[{}0]');",
        "0,".repeat(32)
    ))?;
    Ok(project.write("data/more.txt", "more")?)
}

/// A project whose one backup is small enough that each of its bytes can be changed.
pub fn small(project: &Project) -> Made<()> {
    project.write("data/uploads/a.txt", "first a")?;
    project.write("data/uploads/empty", "")?;
    std::os::unix::fs::symlink("uploads/a.txt", project.data().join("link"))?;
    Connection::open(project.data().join("app.db"))?.execute_batch(NOTES)?;
    project.run("backup")?.expect(0, "the backup")?;
    Ok(())
}

/// Databases for a service that writes numbers to them, and migrations of which the second fails
/// after the first is committed.
pub fn served(project: &Project, databases: &[&str]) -> Made<()> {
    for name in databases {
        let path = project.data().join(name);
        fs::create_dir_all(path.parent().expect("a database lies in a folder"))?;
        Connection::open(path)?.execute_batch(
            "CREATE TABLE acknowledged (number INTEGER PRIMARY KEY);\n\
             INSERT INTO acknowledged VALUES (1), (2), (3);
             CREATE TABLE visits (id INTEGER PRIMARY KEY);",
        )?;
    }
    project.write("migrations/001_more.sql", "CREATE TABLE more (id INTEGER PRIMARY KEY);\n")?;
    project.write("migrations/002_fails.sh", "#!/bin/sh\nexit 1\n")?;
    project.run("backup")?.expect(0, "the backup")?;
    // A restore leaves a database alone that is as in the backup: each of them differs.
    for name in databases {
        let changed = Connection::open(project.data().join(name))?;
        changed.execute_batch("INSERT INTO visits DEFAULT VALUES")?;
    }
    Ok(())
}
