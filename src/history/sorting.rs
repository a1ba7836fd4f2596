//! What one file of a migrations folder is: a migration, a file for going back, a helper, or nothing
//! that piton understands. Of SQL the name decides; of anything else also how the file begins.

use super::{
    foreign::{self, Likeness},
    version::Version,
    way_back,
};
use crate::{Result, disk};
use std::{fs::File, io::Read, os::unix::fs::PermissionsExt, path::Path};

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A migration with its number and name.
    Migration(Version, String),
    /// It takes no part, and the reason is worth a line.
    Ignored(&'static str),
    /// A script without a number that the system can run, and whether it looks for itself what is needed.
    Script(Looks),
    /// Beside migrations it is their helper; alone it may have been meant as one.
    Helper(Likeness),
    /// It may be meant as a migration.
    NotUnderstood(Likeness),
    /// It lies there as files do: notes, backups of editors, caches.
    Nothing,
}

/// Whether a script looks at the schema before it changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// It asks for it by one of the ways that there are.
    Yes,
    /// Nothing shows that it does.
    Unknown,
}

/// How a file that is no SQL begins, and whether it may be executed.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The first 64 KiB, as text.
    pub text: String,
    /// Whether its mode lets it be executed.
    pub executable: bool,
    /// Whether it is a program in machine code.
    pub binary: bool,
}

impl Head {
    /// Reads how a file begins.
    ///
    /// # Errors
    /// The system's, with the path.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(disk::failed("read", path))?;
        let mode = file.metadata().map_err(disk::failed("read", path))?.permissions().mode();
        let mut bytes = Vec::new();
        file.take(64 << 10).read_to_end(&mut bytes).map_err(disk::failed("read", path))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { text, executable: mode & 0o111 != 0, binary: is_machine_code(&bytes) })
    }

    /// Whether the system knows how to run it.
    pub fn runs(&self) -> bool {
        self.text.starts_with("#!") || (self.executable && self.binary)
    }

    /// The ways in which a script can find out whether it is needed; that it uses the answer, only its
    /// author knows.
    fn looks(&self) -> Looks {
        const WAYS: [&str; 6] = [
            "table_info",
            "table_xinfo",
            "sqlite_master",
            "sqlite_schema",
            "if not exists",
            "user_version",
        ];
        let text = self.text.to_ascii_lowercase();
        if WAYS.iter().any(|way| text.contains(way)) { Looks::Yes } else { Looks::Unknown }
    }

    /// The kernel takes a carriage return for a part of the interpreter's name.
    fn has_carriage_return(&self) -> bool {
        let first = self.text.split('\n').next().unwrap_or_default();
        self.executable && first.starts_with("#!") && first.ends_with('\r')
    }
}

/// ELF, and Mach-O in its four byte orders and as a universal file.
pub(super) fn is_machine_code(bytes: &[u8]) -> bool {
    const STARTS: [&[u8]; 6] = [
        b"\x7fELF",
        &[0xfe, 0xed, 0xfa, 0xce],
        &[0xfe, 0xed, 0xfa, 0xcf],
        &[0xce, 0xfa, 0xed, 0xfe],
        &[0xcf, 0xfa, 0xed, 0xfe],
        &[0xca, 0xfe, 0xba, 0xbe],
    ];
    STARTS.iter().any(|start| bytes.starts_with(start))
}

/// What a file is; `head` is asked only where the name alone does not tell.
///
/// # Errors
/// Those of `head`.
pub(super) fn sort(title: &str, head: impl FnOnce() -> Result<Head>) -> Result<Meaning> {
    if is_harmless(title) {
        return Ok(Meaning::Nothing);
    }
    let (stem, extension) = title.rsplit_once('.').unwrap_or((title, ""));
    let extension = extension.to_ascii_lowercase();
    if way_back::is_certain(stem) {
        return Ok(Meaning::Ignored(way_back::DOWN_PART));
    }
    let digits = stem.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(stem.len());
    let version = Version::parse(&stem[..digits]);
    if extension == "sql" {
        return Ok(match version {
            Some(version) => Meaning::Migration(version, name(&stem[digits..])),
            None => Meaning::NotUnderstood(foreign::sql(title)),
        });
    }
    let head = head()?;
    if !head.runs()
        && let Some(likeness) = foreign::code(&extension, &head.text)
    {
        return Ok(Meaning::NotUnderstood(likeness));
    }
    if let Some(likeness) = foreign::other_form(title, &extension, version.is_some()) {
        return Ok(Meaning::NotUnderstood(likeness));
    }
    let data = !head.executable && !foreign::is_program(&extension);
    Ok(match version {
        _ if head.has_carriage_return() => Meaning::NotUnderstood(foreign::carriage_return(title)),
        Some(version) if head.runs() => Meaning::Migration(version, name(&stem[digits..])),
        _ if head.text.is_empty() => Meaning::Ignored("a file beside the migrations"),
        _ if data => Meaning::Helper(foreign::data()),
        Some(_) => Meaning::NotUnderstood(foreign::without_program(&extension)),
        None if head.text.starts_with("#!") => Meaning::Script(head.looks()),
        None if head.executable => Meaning::NotUnderstood(foreign::script()),
        None => Meaning::Helper(foreign::helper(&extension)),
    })
}

/// What follows the number of a file, without the dots and the `.up` of other tools.
fn name(rest: &str) -> String {
    let name = rest.trim_start_matches(['_', '-', '.']).trim_end_matches('.');
    // `001.do.users.sql` of Postgrator.
    let name = if rest.starts_with('.') { name.strip_prefix("do.").unwrap_or(name) } else { name };
    name.trim_end_matches(".up").to_string()
}

/// Files that lie in such folders without being meant as migrations.
fn is_harmless(title: &str) -> bool {
    let folded = title.to_ascii_lowercase();
    let extension = folded.rsplit_once('.').map_or("", |(_, extension)| extension);
    let prose =
        ["md", "txt", "rst", "adoc", "orig", "rej", "bak", "swp", "swo", "tmp", "pyc", "sum"];
    let names = ["readme", "license", "licence", "changelog", "copying", "makefile", "justfile"];
    // `changelog.xml` is one of Liquibase.
    let is_description = ["xml", "yaml", "yml", "json"].contains(&extension);
    title.starts_with(['.', '#'])
        || title.ends_with('~')
        || prose.contains(&extension)
        || (!is_description && names.contains(&folded.split('.').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(title: &str, text: &str, executable: bool) -> Meaning {
        sort(title, || Ok(Head { text: text.into(), executable, binary: false })).unwrap()
    }

    fn migration(title: &str) -> Option<(String, String)> {
        match file(title, "#!/bin/sh\n", true) {
            Meaning::Migration(version, name) => Some((version.to_string(), name)),
            _ => None,
        }
    }

    #[test]
    fn names() {
        let pair = |version: &str, name: &str| Some((version.to_string(), name.to_string()));
        assert_eq!(migration("001_users.sql"), pair("001", "users"));
        assert_eq!(migration("20260101120000-add-x.sql"), pair("20260101120000", "add-x"));
        assert_eq!(migration("7.sql"), pair("7", ""));
        assert_eq!(migration("3_backfill.py"), pair("3", "backfill"));
        assert_eq!(migration("3_backfill"), pair("3", "backfill"));
        assert_eq!(migration("3_x.up.sql"), pair("3", "x"));
        assert_eq!(migration("3_x.up..sql"), pair("3", "x"));
        assert_eq!(migration("3_scale_down.sql"), pair("3", "scale_down"));
        assert_eq!(migration("3_notes.md"), None);
        for down in ["3_x.down.sql", "3_x.DOWN.sql", "3_x.rollback.sql", "x.undo.sql", "U3__x.sql"]
        {
            assert_eq!(file(down, "", false), Meaning::Ignored(way_back::DOWN_PART), "{down}");
        }
    }

    #[test]
    fn what_is_harmless() {
        for title in [
            "README",
            "README.md",
            "Readme.txt",
            ".gitkeep",
            ".DS_Store",
            "001_a.sql~",
            "#001_a.sql#",
            "001_a.sql.bak",
            "LICENSE",
            "x.pyc",
            "atlas.sum",
        ] {
            assert_eq!(file(title, "x", false), Meaning::Nothing, "{title}");
        }
    }

    #[test]
    fn what_is_not_understood() {
        let is = |title: &str, text: &str, executable: bool, what: &str| match file(
            title, text, executable,
        ) {
            Meaning::NotUnderstood(found) => assert!(found.what.contains(what), "{found:?}"),
            other => panic!("{title}: {other:?}"),
        };
        is("users.sql", "", false, "without a number");
        is("V1__users.sql", "", false, "Flyway");
        is("0001_initial.py", "class Migration(migrations.Migration):", false, "Django");
        is("20260101_users.js", "exports.up = async (knex) => {}", false, "Knex");
        is("20260101_users.js", "exports.up = async (knex) => {}", true, "Knex");
        is("3_move.sh", "mv a b\n", false, "without a `#!` line");
        is("3_move.sh", "mv a b\n", true, "without a `#!` line");
        is("3_move", "mv a b\n", true, "neither SQL nor");
        is("3_move.sh", "#!/bin/sh\r\nmv a b\r\n", true, "carriage return");
        let script = |text: &str| file("add_fields.py", text, true);
        assert_eq!(script("#!/usr/bin/env python3\n"), Meaning::Script(Looks::Unknown));
        assert_eq!(script("#!/bin/sh\n# PRAGMA table_info(t)\n"), Meaning::Script(Looks::Yes));
        assert!(matches!(file("lib.sh", "# helper", false), Meaning::Helper(_)));
        assert!(matches!(file("3_rows.csv", "a,b", false), Meaning::Helper(_)));
        assert!(matches!(file("3_x.sql.disabled", "SELECT 1", false), Meaning::Helper(_)));
        is("1_users.ddl", "CREATE", false, "another ending");
        is("1_users.SQL.gz", "x", false, "packed");
        is("1_users.sql.erb", "CREATE", false, "template");
        is("1_users.json", "{}", false, "numbered");
        is("changelog.xml", "<databaseChangeLog/>", false, "Liquibase");
        is("db.changelog-master.yaml", "databaseChangeLog: []", false, "Liquibase");
        is("sqitch.plan", "%project=x", false, "Sqitch");
        assert!(matches!(file("__init__.py", "", false), Meaning::Ignored(_)));
        // What an interpreter runs by name, the kernel need not find.
        assert!(matches!(file("3_x.py", "#!/bin/sh\r\n", false), Meaning::Migration(..)));
    }
}
