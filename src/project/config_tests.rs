//! Messages about wrong keys.

use super::*;

fn message(text: &str) -> (String, Option<String>) {
    let error = parse(Path::new("piton.toml"), text).unwrap_err();
    (error.to_string(), error.hint())
}

#[test]
fn wrong_keys_name_line_and_neighbour() {
    let (text, hint) = message("data = \"d\"\nmigration = \"m\"\n");
    assert!(text.starts_with("piton.toml:2:1"), "{text}");
    assert_eq!(hint.as_deref(), Some("is `migrations` meant?"));
    let (text, _) = message("data = 3\n");
    assert!(text.starts_with("piton.toml:1:8"), "{text}");
    let (text, hint) = message("[targets.a]\ndatabase = \"x\"\n");
    assert!(text.contains("unknown field `database`"), "{text}");
    assert_eq!(hint.as_deref(), Some("is `databases` meant?"));
}
