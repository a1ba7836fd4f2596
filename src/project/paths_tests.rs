//! Names as people spell them, and what is protected for them.

use super::{Paths, pattern, walk};
use crate::project::{Config, Overrides};
use std::{fs, os::unix::fs::symlink, path::Path};

#[expect(clippy::disallowed_methods, reason = "a test prepares its folder")]
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test prepares its folder")]
fn link(target: impl AsRef<Path>, path: impl AsRef<Path>) {
    symlink(target, path).unwrap();
}

/// What a configuration protects in its own folder.
fn inside(root: &Path, config: &str) -> Result<Vec<String>, String> {
    write(&root.join("piton.toml"), config);
    let overrides = Overrides { config: Some(root.join("piton.toml")), ..Overrides::default() };
    let config = Config::load_names(&overrides).map_err(|error| error.to_string())?;
    let paths = Paths::of(&config, root).map_err(|error| error.to_string())?;
    Ok(paths.inside.iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

#[test]
fn spellings() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("x/y"), "");
    write(&root.join("store/real/file"), "");
    link("store/real", root.join("link"));
    link(root.join("link"), root.join("second"));
    link("endless", root.join("endless"));
    let absolute = format!("data = '{}/live'", root.display());
    let rows: [(&str, &[&str]); 12] = [
        ("data = 'live'", &["backups", "live"]),
        ("data = './/live/'", &["backups", "live"]),
        ("data = 'x/../live'", &["backups", "live"]),
        ("data = 'nowhere/../live'", &["backups", "live"]),
        ("data = 'link'", &["backups", "link", "store/real"]),
        ("data = 'second'", &["backups", "link", "second", "store/real"]),
        ("data = 'link/deep'", &["backups", "link", "store/real/deep"]),
        // The system goes up from where the link leads.
        ("data = 'link/../live'", &["backups", "link", "store/live"]),
        (&absolute, &["backups", "live"]),
        ("data = '/elsewhere/live'", &["backups"]),
        ("data = '../live'", &["backups"]),
        ("data = 'live'\nbackups = 'live/kept'", &["live"]),
    ];
    for (config, wanted) in rows {
        assert_eq!(inside(&root, config).unwrap(), wanted, "{config}");
    }
    for config in ["data = '.'", "data = '..'", "data = '/'"] {
        assert!(inside(&root, config).unwrap_err().contains("holds the configuration"), "{config}");
    }
    let above = inside(&root, "data = 'd'\nbackups = '.'").unwrap_err();
    assert!(above.contains("holds the whole folder"), "{above}");
    assert!(inside(&root, "data = 'endless'").unwrap_err().contains("endless"));
    assert!(inside(&root, "data = 'x/y/live'").is_err(), "a file is on the way");
}

#[test]
fn what_links_in_the_data_lead_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("data/deep/file"), "");
    link("../../var/app.db", root.join("data/deep/app.db"));
    link("../pictures", root.join("data/uploads"));
    link("/etc/hosts", root.join("data/hosts"));
    link("..", root.join("data/project"));
    link("endless", root.join("data/endless"));
    let config = Config::load_names(&Overrides {
        data: Some(root.join("data")),
        backups: Some(root.join("b")),
        database: Some("deep/app.db".into()),
        ..Overrides::default()
    });
    let paths = Paths::of(&config.unwrap(), &root).unwrap();
    for name in ["var/app.db", "pictures", "data", "b"] {
        assert!(paths.inside.contains(&name.into()), "{name}: {:?}", paths.inside);
    }
    assert_eq!(paths.databases, [root.join("var/app.db")]);
    let rules = paths.rsync_rules().unwrap();
    assert!(rules.contains("- /var/app.db\n"), "{rules}");
}

#[test]
fn private_names_are_all_that_piton_makes_and_no_link_of_theirs_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("real/app.txt"), "");
    write(&root.join("real/.piton-4711/staging/x"), "");
    write(&root.join("real/deep/.piton-not/x"), "");
    link("real", root.join("data"));
    link("../elsewhere", root.join("real/.piton-root"));
    link("..", root.join("real/.piton-1"));
    link(".piton-2", root.join("real/.piton-2"));
    let config = Config::load_names(&Overrides {
        data: Some(root.join("data")),
        backups: Some(root.join("b")),
        ..Overrides::default()
    });
    let paths = Paths::of(&config.unwrap(), &root).unwrap();
    let own = format!(".piton-{}", rustix::process::getuid().as_raw());
    let mut names =
        [".piton", ".piton-1", ".piton-2", ".piton-4711", ".piton-restore", ".piton-root", &own];
    names.sort_unstable();
    let wanted: Vec<_> = names.iter().map(|name| root.join("real").join(name)).collect();
    assert_eq!(paths.private, wanted);
    for name in ["elsewhere", "real", "data"] {
        assert!(paths.inside.contains(&name.into()), "{name}: {:?}", paths.inside);
    }
}

#[test]
fn patterns_mean_themselves() {
    let rows = [
        ("live", "live"),
        ("li ve ", "li ve "),
        (r"a\b", r"a\b"),
        ("a*b", r"a\*b"),
        (r"a\[b]?", r"a\\\[b]\?"),
    ];
    for (name, wanted) in rows {
        assert_eq!(pattern(name), wanted);
    }
}

#[test]
fn a_missing_folder_is_taken_as_it_is_written() {
    let end = walk(Path::new("/nowhere/at"), Path::new("all/../x")).unwrap().end;
    assert_eq!(end, Path::new("/nowhere/at/x"));
}
