//! Imports point down only, as DESIGN.md's "Layers" lists them, and modules on one level do not
//! import each other.

use std::{collections::BTreeMap, fs, path::Path};

/// From the top to the bottom; a module may import what stands on lower lines.
const LEVELS: [&[&str]; 16] = [
    &["project"],
    &["deploy"],
    &["restore", "rehearse", "offsite"],
    &["difference"],
    &["apply", "backup"],
    &["plan", "store"],
    &["ledger"],
    &["history"],
    &["guard"],
    &["schema"],
    &["sql"],
    &["lock"],
    &["database", "process"],
    &["records"],
    &["clock", "disk", "event", "format"],
    &["error"],
];

fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = crate::sandbox::files(&root).into_keys();
    let rust = files.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    rust.map(|path| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        (path.to_str().unwrap().to_string(), text)
    })
    .collect()
}

/// The library's files with the module each belongs to; tests may reach wherever they like.
fn library() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        if path.starts_with("bin/") || path == "lib.rs" || is_test {
            continue;
        }
        let module = path.split(['/', '.']).next().unwrap().to_string();
        let text = text.split("#[cfg(test)]").next().unwrap().to_string();
        found.push((path, module, text));
    }
    found
}

/// The words that follow `crate::`, also inside of `use crate::{…}`.
fn imported(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, 0);
            for (end, character) in list.char_indices() {
                match character {
                    '{' => depth += 1,
                    ',' | '}' if depth == 0 => {
                        let item = list[start..end].trim_start();
                        found.extend((!item.is_empty()).then(|| first_word(item)));
                        start = end + 1;
                        if character == '}' {
                            break;
                        }
                    }
                    '}' => depth -= 1,
                    _ => {}
                }
            }
        } else {
            found.push(first_word(rest));
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
}

#[test]
fn imports_point_down() {
    let mut level = BTreeMap::new();
    for (depth, modules) in LEVELS.iter().enumerate() {
        level.extend(modules.iter().map(|module| (*module, depth)));
    }
    let mut wrong = Vec::new();
    for (path, module, text) in library() {
        let Some(own) = level.get(module.as_str()) else {
            wrong.push(format!("src/{path}: the module `{module}` has no level"));
            continue;
        };
        for other in imported(&text) {
            let Some(its) = level.get(other.as_str()) else { continue };
            if other != module && its <= own {
                wrong.push(format!("src/{path}: `{module}` imports `{other}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_library_knows_no_terminal() {
    let banned = [
        "anyhow",
        "clap",
        "anstream",
        "anstyle",
        "println!",
        "eprintln!",
        "process::exit",
        "env::var",
        "env::args",
    ];
    for (path, _, text) in library() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (line, word) in code.flat_map(|line| banned.map(|word| (line, word))) {
            assert!(!line.contains(word), "src/{path}: `{word}` in `{line}`");
        }
    }
}

#[test]
fn the_binary_uses_the_public_interface() {
    for (path, text) in sources("src/bin/piton") {
        assert!(!text.contains("#[path"), "{path} takes in a file of the library");
        assert!(!text.contains("include!("), "{path} takes in a file of the library");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["src", "tests"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//! "), "{folder}/{path} does not open with `//! `");
            assert!(text.lines().count() <= 500, "{folder}/{path} is too long");
        }
    }
}

#[test]
fn lists_of_imports_are_understood() {
    let text = "use crate::{\n    Result, disk,\n    error::{Place, X},\n    plan::{self},\n};\nuse crate::sql::fold;\n// crate::no\n";
    assert_eq!(imported(text), ["Result", "disk", "error", "plan", "sql"]);
}
