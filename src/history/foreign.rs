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

/// SQL in a form that piton does not read, and descriptions of changes that other tools read.
#[must_use]
pub fn other_form(title: &str, extension: &str, is_numbered: bool) -> Option<Likeness> {
    const SQL: [&str; 6] = ["ddl", "dml", "psql", "pgsql", "mysql", "sqlite"];
    const PACKED: [&str; 9] = ["gz", "zst", "xz", "bz2", "zip", "lz4", "age", "gpg", "enc"];
    const TEMPLATES: [&str; 9] =
        ["erb", "j2", "jinja", "jinja2", "tera", "mustache", "hbs", "tmpl", "tpl"];
    const DESCRIPTIONS: [&str; 5] = ["json", "yaml", "yml", "xml", "toml"];
    let folded = title.to_ascii_lowercase();
    let is_sql =
        folded.strip_suffix(&format!(".{extension}")).is_some_and(|it| it.ends_with(".sql"));
    let described = DESCRIPTIONS.contains(&extension);
    Some(match extension {
        "plan" if folded == "sqitch.plan" => Likeness::new(
            "the plan of Sqitch",
            "copy the files of its `deploy` folder to numbered files, in the order of the plan, and list the rest under `ignore`",
        ),
        _ if is_numbered && SQL.contains(&extension) => Likeness::new(
            "SQL with another ending",
            format!("rename it so that it ends in `.sql` instead of `.{extension}`"),
        ),
        _ if is_sql && PACKED.contains(&extension) => {
            Likeness::new("packed SQL", "unpack it beside itself, and move it out of the folder")
        }
        _ if is_sql && TEMPLATES.contains(&extension) => Likeness::new(
            "a template of SQL",
            "put the SQL that it makes into a numbered `.sql` file, and list the template under `ignore`",
        ),
        _ if described && folded.contains("changelog") => Likeness::new(
            "a change log of Liquibase",
            "write its changes as numbered `.sql` files (`liquibase update-sql` prints them), and list it under `ignore`",
        ),
        _ if is_numbered && described => Likeness::new(
            "a numbered file that is no SQL",
            "if it is a migration, write it as SQL; if it is data of a script, list it under `ignore`",
        ),
        _ => return None,
    })
}

/// A file that is no program, in a folder in which nothing else is a migration.
#[must_use]
pub fn data() -> Likeness {
    Likeness::new(
        "neither SQL nor a script",
        "piton reads `<number>_<name>.sql` and numbered scripts with a `#!` line; what it shall pass over goes under `ignore`",
    )
}

/// SQL in which a comment goes on behind a carriage return, and swallows the statements after it.
#[must_use]
pub fn swallowed() -> Likeness {
    Likeness::new(
        "SQL with a carriage return alone as a line end, which to SQLite is a part of the comment before it",
        "save it with plain line ends",
    )
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

/// Folders side by side of which one goes forward and another back, or each is for one kind of database.
#[must_use]
pub fn folders_of_one(name: &str, all: &[&str]) -> Option<Likeness> {
    const WAYS: [(&str, &[&str]); 4] = [
        ("up", &["down"]),
        ("deploy", &["revert", "verify"]),
        ("do", &["undo"]),
        ("apply", &["revert", "rollback", "undo"]),
    ];
    const SERVERS: [&str; 12] = [
        "postgres",
        "postgresql",
        "pg",
        "mysql",
        "mariadb",
        "mssql",
        "sqlserver",
        "oracle",
        "cockroach",
        "cockroachdb",
        "clickhouse",
        "duckdb",
    ];
    let folded = name.to_ascii_lowercase();
    let has = |wanted: &str| all.iter().any(|it| it.eq_ignore_ascii_case(wanted));
    for (forward, back) in WAYS {
        let is_pair = has(forward) && back.iter().any(|it| has(it));
        if is_pair && folded == forward {
            let advice = format!(
                "move its files into the migrations folder itself, or write `migrations = \"…/{name}\"` in `piton.toml`"
            );
            return Some(Likeness::new("the forward half of a history", advice));
        }
        if back.contains(&&*folded) && (is_pair || ["down", "undo", "revert"].contains(&&*folded)) {
            let advice = "list it under `ignore`: piton goes back by restoring a backup";
            return Some(Likeness::new("files for going back", advice));
        }
    }
    if SERVERS.contains(&&*folded) {
        let advice = "list it under `ignore`";
        return Some(Likeness::new("files for another kind of database", advice));
    }
    if ["sqlite", "sqlite3"].contains(&&*folded) && SERVERS.iter().any(|it| has(it)) {
        let advice = format!("write `migrations = \"…/{name}\"` in `piton.toml`");
        return Some(Likeness::new("files for SQLite beside those for others", advice));
    }
    None
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
    fn folders_for_one_way_or_one_kind_of_database() {
        for (name, all, what) in [
            ("up", &["up", "down"] as &[&str], Some("forward half")),
            ("Down", &["up", "Down"], Some("going back")),
            ("revert", &["revert"], Some("going back")),
            ("verify", &["deploy", "revert", "verify"], Some("going back")),
            ("sqlite", &["sqlite", "postgres"], Some("SQLite beside")),
            ("mysql", &["app", "mysql"], Some("another kind")),
            ("up", &["up"], None),
            ("verify", &["verify"], None),
            ("sqlite", &["sqlite", "app"], None),
            ("app", &["app", "down"], None),
        ] {
            let found = folders_of_one(name, all);
            let is_so = match (&found, what) {
                (Some(found), Some(what)) => found.what.contains(what),
                (found, what) => found.is_none() && what.is_none(),
            };
            assert!(is_so, "{name} of {all:?}: {found:?}");
        }
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
