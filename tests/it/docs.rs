//! Everything that can be typed or set is in README.md, and every command that a message names exists.

use crate::sandbox::Sandbox;
use piton::Kind;
use std::{collections::BTreeSet, fs};

fn file(name: &str) -> String {
    fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The commands, from the help itself.
fn commands() -> Vec<String> {
    let help = Sandbox::bare().run("--help").success().stdout;
    let list = help.split("Commands:\n").nth(1).unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let words = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = words.map(|line| line.split_whitespace().next().unwrap().to_string());
    names.filter(|name| name != "help").collect()
}

fn words_in(text: &str, start: &str, allowed: impl Fn(char) -> bool) -> BTreeSet<String> {
    let found = text
        .match_indices(start)
        .map(|(at, _)| text[at..].chars().take_while(|&it| allowed(it)).collect::<String>());
    found.filter(|word| word.len() > start.len()).collect()
}

fn flags(help: &str) -> BTreeSet<String> {
    words_in(help, "--", |it| it.is_ascii_alphanumeric() || it == '-')
}

#[track_caller]
fn all_documented(what: &str, words: impl IntoIterator<Item = String>) {
    let readme = file("README.md");
    let is_there = |word: &String| {
        readme.match_indices(word.as_str()).any(|(at, _)| {
            let next = readme[at + word.len()..].chars().next();
            next.is_none_or(|it| !it.is_alphanumeric() && it != '_')
        })
    };
    let missing: Vec<String> = words.into_iter().filter(|word| !is_there(word)).collect();
    assert!(missing.is_empty(), "README.md lacks {what}: {}", missing.join(", "));
}

#[test]
fn commands_and_flags() {
    let sandbox = Sandbox::bare();
    let readme = file("README.md");
    for name in commands() {
        let is_row = |line: &str| {
            let cell = line.strip_prefix("| `").and_then(|rest| rest.strip_prefix(name.as_str()));
            cell.is_some_and(|rest| rest.starts_with(['`', ' ']))
        };
        assert!(readme.lines().any(is_row), "README.md has no row for `{name}`");
    }
    let mut all = BTreeSet::new();
    for command in commands() {
        all.extend(flags(&sandbox.run(&format!("{command} --help")).success().stdout));
    }
    all.remove("--help");
    all_documented("flags", all);
}

#[test]
fn exit_codes_and_outcomes() {
    let readme = file("README.md");
    let kinds = [
        Kind::Internal,
        Kind::Usage,
        Kind::Refused,
        Kind::Failed,
        Kind::Restored,
        Kind::NotRestored,
        Kind::Locked,
        Kind::InUse,
        Kind::Damaged,
        Kind::Interrupted,
    ];
    let known = [(0, "done"), (0, "nothing-to-do"), (3, "pending")];
    let rows = kinds.iter().map(|kind| (kind.exit_code(), kind.outcome())).chain(known);
    for (code, word) in rows {
        let row = readme.lines().find(|line| {
            line.starts_with('|')
                && line.contains(&format!("`{word}`"))
                && line.contains(&format!("{code}"))
        });
        assert!(row.is_some(), "README.md has no row with {code} and `{word}`");
    }
    for code in ["11", "12", "13", "14"] {
        assert!(readme.contains(code), "README.md lacks the exit code {code} of deploy.sh");
    }
}

#[test]
fn configuration_keys() {
    let source = file("src/project/config.rs");
    let body = source.split("pub struct File {").nth(1).unwrap().split("\n}").next().unwrap();
    let target =
        source.split("pub struct TargetKeys {").nth(1).unwrap().split("\n}").next().unwrap();
    let sealing = file("src/project/sealing.rs");
    let sealing =
        sealing.split("pub struct BackupKeys {").nth(1).unwrap().split("\n}").next().unwrap();
    let keys = body.lines().chain(target.lines()).chain(sealing.lines()).filter_map(|line| {
        Some(line.trim().strip_prefix("pub ")?.split(':').next()?.replace('_', "-"))
    });
    let keys: Vec<String> = keys.collect();
    assert!(keys.len() > 12, "{keys:?}");
    let written = file("src/project/piton.toml");
    for key in &keys {
        assert!(written.contains(key.as_str()), "src/project/piton.toml lacks `{key}`");
    }
    all_documented("keys", keys);
    let source = file("src/project/offsite_keys.rs");
    let body =
        source.split("pub struct OffsiteKeys {").nth(1).unwrap().split("\n}").next().unwrap();
    let keys = body.lines().filter_map(|line| {
        Some(line.trim().strip_prefix("pub ")?.split(':').next()?.replace('_', "-"))
    });
    let (reference, written) = (file("docs/offsite.md"), file("src/project/piton.toml"));
    assert!(file("README.md").contains("(docs/offsite.md)"));
    let mut count = 0;
    for key in keys {
        count += 1;
        assert!(reference.contains(&format!("| `{key}` |")), "docs/offsite.md lacks `{key}`");
        assert!(written.contains(&key), "src/project/piton.toml lacks `{key}`");
    }
    assert!(count > 10);
}

#[test]
fn keys_of_deploy() {
    let text = file("docs/deploy.md");
    let source = file("src/deploy/settings.rs");
    let body = source.split("pub struct Settings {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let keys: Vec<String> = names.map(|name| name.replace('_', "-")).collect();
    assert!(keys.len() > 7, "{keys:?}");
    for key in keys {
        let named =
            text.contains(&format!("`{key}`")) || text.contains(&format!("`[deploy.{key}]`"));
        assert!(named, "docs/deploy.md lacks `{key}`");
    }
    for phase in piton::deploy::Phase::ALL {
        assert!(text.contains(&format!("`{phase}`")), "docs/deploy.md lacks the phase {phase}");
    }
}

#[test]
fn keys_of_the_service_and_its_health() {
    let text = file("docs/service.md");
    let tables = [
        ("src/deploy/service/settings.rs", "struct Keys {"),
        ("src/deploy/health/settings.rs", "pub struct Settings {"),
        ("src/deploy/health/http.rs", "pub struct Http {"),
        ("src/deploy/health/tcp.rs", "pub struct Tcp {"),
        ("src/deploy/health/command.rs", "pub struct Command {"),
        ("src/deploy/health/query.rs", "pub struct Query {"),
    ];
    for (path, start) in tables {
        let source = file(path);
        let body = source.split(start).nth(1).unwrap().split("\n}").next().unwrap();
        let lines = body.lines().map(|line| line.trim().trim_start_matches("pub "));
        let fields = lines.filter(|line| line.starts_with(|it: char| it.is_ascii_lowercase()));
        let keys: Vec<String> =
            fields.map(|line| line.split(':').next().unwrap().replace('_', "-")).collect();
        assert!(!keys.is_empty(), "{path}");
        for key in keys {
            let forms = [format!("`{key}`"), format!("{key} = "), format!("health.{key}]]")];
            let is_there = forms.iter().any(|form| text.contains(form));
            assert!(is_there, "docs/service.md lacks `{key}` of {path}");
        }
    }
    assert!(file("README.md").contains("docs/service.md"));
}

#[test]
fn keys_and_alarms_of_drills() {
    let text = file("docs/nightly.md");
    let source = file("src/project/drill/settings.rs");
    let body = source.split("pub struct DrillKeys {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let keys: Vec<String> = names.map(|name| name.replace('_', "-")).collect();
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        assert!(text.contains(&format!("| `{key}` |")), "docs/nightly.md lacks `{key}`");
    }
    let source = file("src/project/notify.rs");
    let told = words_in(&source, "PITON_", |it| it.is_ascii_uppercase() || it == '_');
    assert!(told.len() > 4, "{told:?}");
    for word in told.iter().map(String::as_str).chain(["on-failure", "timeout", "every"]) {
        assert!(text.contains(word), "docs/nightly.md lacks `{word}`");
    }
    all_documented("variables", told);
    let mut codes = BTreeSet::new();
    for path in ["mod.rs", "facts.rs", "trend.rs"] {
        let source = file(&format!("src/project/drill/{path}"));
        let starts = source.match_indices("Alarm::new(\"").map(|(at, start)| at + start.len());
        codes.extend(starts.map(|at| source[at..].split('"').next().unwrap().to_string()));
    }
    assert!(codes.len() > 7, "{codes:?}");
    for code in codes {
        assert!(
            text.contains(&format!("| `{code}` |")),
            "docs/nightly.md lacks the alarm `{code}`"
        );
    }
    assert!(file("README.md").contains("(docs/nightly.md)"));
}

#[test]
fn variables() {
    let mut names = BTreeSet::new();
    for path in
        ["src/bin/piton/args/global.rs", "src/project/up.rs", "src/apply/alone.rs", "deploy.sh"]
    {
        names.extend(words_in(&file(path), "PITON_", |it| it.is_ascii_uppercase() || it == '_'));
    }
    assert!(names.contains("PITON_DATA") && names.contains("PITON_BACKUP"));
    all_documented("variables", names);
}

#[test]
fn messages_name_commands_that_exist() {
    let known: BTreeSet<String> = commands().into_iter().collect();
    let folders = ["src", "deploy.sh", "README.md"];
    for folder in folders {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok) {
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            for (at, _) in text.match_indices("`piton ") {
                let rest = &text[at + "`piton ".len()..];
                let word: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
                let good = word.is_empty() || known.contains(&word);
                assert!(good, "{}: `piton {word}`", entry.path().display());
            }
        }
    }
}

#[test]
fn codes_of_findings() {
    let mut codes = BTreeSet::new();
    for entry in walkdir::WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan")) {
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
        for start in [
            "Finding::new(\"",
            "self.deny(unit, \"",
            "self.deny(\n                    unit,\n                    \"",
        ] {
            codes.extend(text.match_indices(start).map(|(at, _)| {
                let code = text[at + start.len()..].split('"').next().unwrap();
                format!("`{code}`")
            }));
        }
    }
    codes.extend(piton::plan::CODES.iter().map(|code| format!("`{code}`")));
    assert!(codes.len() > 8, "{codes:?}");
    all_documented("codes of findings", codes);
}
