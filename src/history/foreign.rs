//! What a file or folder in the migrations folder looks like that piton does not read.
//!
//! It knows other tools by names and contents, and reads nothing itself. It never decides what runs.

/// What something looks like, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// What it looks like, with its article.
    pub what: String,
    /// What to do, without a full stop.
    pub advice: String,
}

impl Likeness {
    fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }
}

/// Words that only one tool's migrations have, the tool, and the command that runs them.
const TOOLS: [(&str, &str, &str); 17] = [
    ("down_revision", "Alembic", "alembic upgrade head"),
    ("from alembic", "Alembic", "alembic upgrade head"),
    ("migrations.Migration", "Django", "python manage.py migrate"),
    ("yoyo", "yoyo", "yoyo apply"),
    ("MigrationInterface", "TypeORM", "typeorm migration:run"),
    ("mikro-orm", "MikroORM", "mikro-orm migration:up"),
    ("queryInterface", "Sequelize", "sequelize db:migrate"),
    ("Kysely", "Kysely", "kysely migrate latest"),
    ("knex", "Knex", "knex migrate:latest"),
    ("ActiveRecord::Migration", "Rails", "rails db:migrate"),
    ("Sequel.migration", "Sequel", "sequel -m"),
    ("Illuminate\\Database", "Laravel", "php artisan migrate"),
    ("Microsoft.EntityFrameworkCore", "EF Core", "dotnet ef database update"),
    ("Ecto.Migration", "Ecto", "mix ecto.migrate"),
    ("sea_orm_migration", "SeaORM", "sea-orm-cli migrate up"),
    ("goose.AddMigration", "goose", "goose up"),
    ("org.flywaydb", "Flyway", "flyway migrate"),
];

/// Endings of programs' sources with the language, and what a script of it may begin with.
const LANGUAGES: [(&[&str], &str, &str); 12] = [
    (&["py"], "Python", "#!/usr/bin/env python3"),
    (&["sh", "bash", "zsh"], "shell", "#!/usr/bin/env bash"),
    (&["js", "mjs", "cjs"], "JavaScript", "#!/usr/bin/env node"),
    (&["ts", "mts", "cts"], "TypeScript", "#!/usr/bin/env -S npx tsx"),
    (&["rb"], "Ruby", "#!/usr/bin/env ruby"),
    (&["php"], "PHP", "#!/usr/bin/env php"),
    (&["pl"], "Perl", "#!/usr/bin/env perl"),
    (&["exs", "ex"], "Elixir", "#!/usr/bin/env elixir"),
    (&["go"], "Go", ""),
    (&["rs"], "Rust", ""),
    (&["cs"], "C#", ""),
    (&["java", "kt"], "Java", ""),
];

fn language(extension: &str) -> Option<(&'static str, &'static str)> {
    let found = LANGUAGES.iter().find(|(ends, ..)| ends.contains(&extension));
    found.map(|(_, language, first)| (*language, *first))
}

/// A migration of a tool that runs its migrations itself, by the words in it.
#[must_use]
pub fn code(extension: &str, text: &str) -> Option<Likeness> {
    language(extension)?;
    let (_, tool, command) = TOOLS.iter().find(|(word, ..)| text.contains(word))?;
    Some(Likeness::new(
        format!("a migration of {tool}"),
        format!("its own tool runs it: `{command}`, after `piton backup`"),
    ))
}

/// Whether a file is a program's source by its ending; data beside scripts is none.
#[must_use]
pub fn is_program(extension: &str) -> bool {
    language(extension).is_some() || extension.is_empty()
}

/// A numbered file that nothing says how to run.
#[must_use]
pub fn without_program(extension: &str) -> Likeness {
    let (what, first) = match language(extension) {
        Some((language, "")) => {
            return Likeness::new(
                format!("{language} source"),
                "write it as SQL, or as a script that the system can run",
            );
        }
        Some((language, first)) => (format!("a {language} file without a `#!` line"), first),
        None => ("neither SQL nor a script with a `#!` line".into(), "#!/bin/sh"),
    };
    let advice = format!(
        "if it is a script, write what runs it as its first line, such as `{first}`; if its own tool runs it, leave that to the tool"
    );
    Likeness::new(what, advice)
}

/// A `#!` line with a carriage return, which the system takes for a part of the program's name.
#[must_use]
pub fn carriage_return(title: &str) -> Likeness {
    Likeness::new(
        "a script whose `#!` line ends with a carriage return (CRLF), so that the system does not find the program",
        format!("save it with plain line ends: `sed -i 's/\\r$//' {title}` in its folder"),
    )
}

/// SQL whose name does not begin with a number.
#[must_use]
pub fn sql(title: &str) -> Likeness {
    let number = |letters: [char; 2]| {
        let (version, name) = title.strip_prefix(letters)?.split_once("__")?;
        let is_version = !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_digit() || b"._".contains(&byte));
        is_version.then(|| (version.to_string(), name.to_string()))
    };
    if let Some((version, name)) = number(['V', 'v']) {
        let digits = version.replace(['.', '_'], "");
        let advice = if digits == version {
            format!("rename it to `{digits}_{name}`")
        } else {
            format!("give it a whole number in the same order, such as `{digits}_{name}`")
        };
        return Likeness::new("a migration of Flyway or refinery", advice);
    }
    if title.starts_with("R__") {
        let advice = "write each change of it as a numbered migration";
        return Likeness::new("a repeatable migration of Flyway", advice);
    }
    if number(['B', 'b']).is_some() {
        let advice = "piton recognises a database by what it contains, and needs no baseline: move it out of the folder";
        return Likeness::new("a baseline of Flyway", advice);
    }
    let advice = "if it is a migration, put its number in front (`piton new` shows which is next); if not, move it out of the folder";
    Likeness::new("SQL without a number", advice)
}

/// A script that could run, whose name does not begin with a number.
#[must_use]
pub fn script() -> Likeness {
    let advice = "if it is a migration, put its number in front, such as `001_`; an operation that is run by name belongs in the scripts folder; where every script of the folder looks for itself whether it is needed, write `format = \"scripts\"` in `piton.toml`";
    Likeness::new("a script without a number", advice)
}

/// A file that is beside nothing that piton reads.
#[must_use]
pub fn helper(extension: &str) -> Likeness {
    let what = match language(extension) {
        Some((language, _)) => format!("a {language} file without a number"),
        None => "a file without a number".into(),
    };
    Likeness::new(what, "piton reads `<number>_<name>.sql` and numbered scripts with a `#!` line")
}

/// A folder with one migration in it, by the names of its files.
#[must_use]
pub fn folder(title: &str, names: &[&str]) -> Option<Likeness> {
    let (file, what) = if names.contains(&"up.sql") {
        ("up.sql", "a migration of diesel or rusqlite_migration")
    } else if names.contains(&"migration.sql") {
        ("migration.sql", "a migration of Prisma or Drizzle")
    } else {
        return None;
    };
    let advice = match numbered(title) {
        Some(name) => format!("copy its `{file}` to `{name}.sql` beside the folder"),
        None => format!("copy its `{file}` to a numbered file beside the folder"),
    };
    Some(Likeness::new(what, format!("{advice}, and list the folder under `ignore`")))
}

/// Migrations that lie deeper than piton looks.
#[must_use]
pub fn too_deep() -> Likeness {
    Likeness::new(
        "a folder with migrations inside a target's folder",
        "move the files one folder up",
    )
}

/// Something that is neither a file nor a folder.
#[must_use]
pub fn special() -> Likeness {
    Likeness::new("neither a file nor a folder", "move it out of the folder")
}

/// `2024-01-02-030405_users` and `01-users` as file names that begin with a number.
fn numbered(title: &str) -> Option<String> {
    let version: String =
        title.chars().take_while(|it| it.is_ascii_digit() || *it == '-').collect();
    let name = title[version.len()..].trim_start_matches('_');
    let digits = version.replace('-', "");
    (!digits.is_empty()).then(|| format!("{digits}_{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_of_other_tools() {
        for (title, what, advice) in [
            ("V1__t.sql", "Flyway or refinery", "`1_t.sql`"),
            ("V1.2__t.sql", "Flyway or refinery", "`12_t.sql`"),
            ("R__views.sql", "repeatable", "numbered"),
            ("B3__all.sql", "baseline", "move it"),
            ("users.sql", "without a number", "put its number in front"),
            ("Views__x.sql", "without a number", "put its number in front"),
        ] {
            let found = sql(title);
            assert!(found.what.contains(what), "{title}: {found:?}");
            assert!(found.advice.contains(advice), "{title}: {found:?}");
        }
    }

    #[test]
    fn folders() {
        let found = folder("2024-01-02-030405_users", &["down.sql", "up.sql"]).unwrap();
        assert!(found.what.contains("diesel"), "{found:?}");
        assert!(found.advice.contains("`20240102030405_users.sql`"), "{found:?}");
        assert!(folder("01-users", &["up.sql"]).unwrap().advice.contains("`01_users.sql`"));
        assert!(folder("20240102030405_x", &["migration.sql"]).unwrap().what.contains("Prisma"));
        assert!(folder("logs", &["001_a.sql"]).is_none());
    }

    #[test]
    fn code_of_other_tools() {
        for (extension, text, tool) in [
            ("py", "revision = 'a'\ndown_revision = None", "Alembic"),
            ("py", "class Migration(migrations.Migration):", "Django"),
            ("js", "exports.up = (knex) => knex.schema", "Knex"),
            ("ts", "export class X implements MigrationInterface {}", "TypeORM"),
            ("rb", "class X < ActiveRecord::Migration[7.0]", "Rails"),
        ] {
            assert!(code(extension, text).unwrap().what.contains(tool), "{tool}");
        }
        assert_eq!(code("py", "print(1)"), None);
        assert_eq!(code("txt", "knex"), None);
        assert!(without_program("py").advice.contains("python3"));
        assert!(without_program("go").what.contains("Go"));
    }
}
