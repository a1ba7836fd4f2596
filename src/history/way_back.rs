//! Files for going back, by their names. piton never runs one: it restores a backup.
//!
//! Where the name alone does not tell, what the file does and whether it has a partner decide, or a
//! person does.

use super::{
    foreign::Likeness,
    migration::{Body, Migration},
    version::Version,
};
use crate::sql::{Class, class, classify, fold};
use std::path::PathBuf;

/// Why a file for going back takes no part.
pub(super) const DOWN_PART: &str = "for going back: piton never runs it, it restores a backup";

/// Words that tools and people put behind a dot or in front of a name.
const SUFFIXES: [&str; 7] = ["down", "undo", "rollback", "revert", "reverse", "drop", "back"];
/// Of these, those that say in any place of a name that something goes back.
const WORDS: [&str; 4] = ["down", "undo", "rollback", "revert"];

/// Whether a name without its extension is one that tools give to files for going back: `x.down`,
/// `x.rollback`, `001.undo.x` of Postgrator, `U3__x` of Flyway.
pub(super) fn is_certain(stem: &str) -> bool {
    let end = stem.rsplit_once('.').map_or("", |(_, end)| end);
    let undo = stem.strip_prefix(['U', 'u']).and_then(|rest| rest.split_once("__"));
    let mut parts = stem.split('.');
    let is_numbered = parts.next().is_some_and(is_number);
    let is_postgrator = is_numbered && parts.next().is_some_and(|part| fold(part) == "undo");
    SUFFIXES.iter().any(|word| end.eq_ignore_ascii_case(word))
        || is_postgrator
        || undo.is_some_and(|(version, _)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_digit() || b"._".contains(&byte))
        })
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file with its number and name.
pub(super) type Numbered = (Version, String, PathBuf);

/// The paths of `3_x_down.sql` and the like beside `3_x.sql` or `3_x_up.sql`.
pub(super) fn of_pairs(found: &[Numbered]) -> Vec<PathBuf> {
    let forward = |name: &str| {
        let name = fold(name);
        name.strip_suffix("up")
            .map_or(name.clone(), |rest| rest.trim_end_matches(SEPARATORS).into())
    };
    let is_partner = |back: &Numbered, rest: &str| {
        found.iter().any(|other| other.0 == back.0 && forward(&other.1) == rest)
    };
    let backs =
        found.iter().filter(|one| without_last(&one.1).is_some_and(|it| is_partner(one, &it)));
    backs.map(|(.., path)| path.clone()).collect()
}

const SEPARATORS: [char; 4] = ['_', '-', '.', ' '];

/// A name without its last word, where that says that it goes back.
fn without_last(name: &str) -> Option<String> {
    let name = fold(name);
    let start = name.rfind(SEPARATORS).map_or(0, |at| at + 1);
    let rest = name[..start].trim_end_matches(SEPARATORS);
    WORDS.contains(&&name[start..]).then(|| rest.to_string())
}

/// A file that would run, whose name says that it goes back, and that takes something away.
pub(super) fn suspect(migration: &Migration) -> Option<Likeness> {
    let name = fold(&migration.name);
    let mut parts = name.split(SEPARATORS);
    let (first, last) = (parts.next()?, parts.next_back());
    let word = [Some(first), last].into_iter().flatten().find(|part| WORDS.contains(part))?;
    if !takes_away(migration) {
        return None;
    }
    Some(Likeness {
        what: format!(
            "a file for going back (`{word}` is in its name), without one that goes forward"
        ),
        advice: format!(
            "if it is a migration, take `{word}` out of its name; if not, move it out of the folder or list it under `ignore`"
        ),
    })
}

/// Whether a file is a script, or has a statement that is no creation and adds no rows.
fn takes_away(migration: &Migration) -> bool {
    let Body::Sql(statements) = &migration.body else { return true };
    statements.iter().map(|statement| statement.text(&migration.text)).any(|text| {
        let first = class::first_word(text).map(|word| fold(&word)).unwrap_or_default();
        let adds = ["create", "insert", "replace", "with", "select"].contains(&first.as_str());
        matches!(classify(text), Class::Definition | Class::Data) && !adds
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn certain_names() {
        for stem in [
            "3_x.down",
            "3_x.DOWN",
            "3_x.rollback",
            "x.undo",
            "U3__x",
            "1_users.drop",
            "1_x.revert",
            "001.undo.users",
        ] {
            assert!(is_certain(stem), "{stem}");
        }
        for stem in ["3_scale_down", "1_users", "001.do.users", "x.undo.users", "Users__x", "down"]
        {
            assert!(!is_certain(stem), "{stem}");
        }
    }

    #[test]
    fn pairs_have_one_name() {
        let file = |number: &str, name: &str| {
            let version = Version::parse(number).unwrap();
            (version, name.to_string(), PathBuf::from(format!("{number}_{name}.sql")))
        };
        let found = [
            file("1", "x"),
            file("1", "x_down"),
            file("2", "y_up"),
            file("2", "Y-Down"),
            file("3", "add_z"),
            file("3", "scale_down"),
            file("4", "down"),
            file("4", "up"),
        ];
        let names: Vec<_> =
            of_pairs(&found).into_iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names, ["1_x_down.sql", "2_Y-Down.sql", "4_down.sql"]);
    }

    #[test]
    fn what_is_suspect() {
        let is = |name: &str, text: &str| {
            let version = Version::parse("1").unwrap();
            let file = Migration::from_sql(version, name, Path::new("1.sql"), text.into()).unwrap();
            suspect(&file).is_some()
        };
        for name in ["users_down", "down", "down_users", "rollback-users", "users undo"] {
            assert!(is(name, "CREATE TABLE a (x); DROP TABLE users"), "{name}");
            assert!(is(name, "UPDATE users SET name = NULL"), "{name}");
            assert!(!is(name, "CREATE TABLE down (x); INSERT INTO down VALUES (1)"), "{name}");
        }
        assert!(!is("drop_users", "DROP TABLE users"));
        assert!(!is("countdown_users", "DROP TABLE users"));
    }
}
