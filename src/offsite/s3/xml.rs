//! What is needed of S3's XML answers: the text of elements by name.
//!
//! Their forms are flat and known; names that repeat stand in elements that are taken apart first.

/// The inner text of every element of a name, one after another.
pub(super) fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let (mut found, mut rest) = (Vec::new(), xml);
    while let Some(at) = rest.find(&open) {
        rest = &rest[at + open.len()..];
        // Another element whose name begins so.
        let Some(next) = rest.chars().next().filter(|next| matches!(next, '>' | '/' | ' ')) else {
            continue;
        };
        let Some(end) = rest.find('>') else { break };
        let is_empty = next == '/' || rest[..end].ends_with('/');
        rest = &rest[end + 1..];
        if is_empty {
            found.push("");
            continue;
        }
        let Some(end) = rest.find(&close) else { break };
        found.push(&rest[..end]);
        rest = &rest[end + close.len()..];
    }
    found
}

/// The text of the first element of a name.
pub(super) fn first(xml: &str, name: &str) -> Option<String> {
    all(xml, name).first().map(|text| plain(text))
}

/// A text without entities.
fn plain(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find(';') else { break };
        let entity = &rest[1..end];
        let number = entity.strip_prefix('#').and_then(|digits| match digits.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => digits.parse().ok(),
        });
        let character = match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => number.and_then(char::from_u32),
        };
        match character {
            Some(character) => result.push(character),
            None => result.push_str(&rest[..=end]),
        }
        rest = &rest[end + 1..];
    }
    result + rest
}

/// A text that may stand in XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{all, escaped, first};

    #[test]
    fn elements_by_name() {
        let xml = "<?xml version='1.0'?><R xmlns='x'><Key>a&amp;b</Key><KeyCount>2</KeyCount>\
                   <Contents><Key>c</Key><ETag>&quot;1&#34;</ETag></Contents><Contents/><E a=\"1\"/></R>";
        assert_eq!(all(xml, "Key"), ["a&amp;b", "c"]);
        assert_eq!(all(xml, "Contents").len(), 2);
        assert_eq!(first(xml, "Key").as_deref(), Some("a&b"));
        assert_eq!(first(xml, "ETag").as_deref(), Some("\"1\""));
        assert_eq!(first(xml, "E").as_deref(), Some(""));
        assert_eq!(first(xml, "KeyC"), None);
        assert_eq!(escaped("\"<&>"), "&quot;&lt;&amp;&gt;");
    }

    #[test]
    fn what_is_cut_off_ends_quietly() {
        let xml = "<R><Key>a</Key><Key>b</Key></R>";
        for length in 0..xml.len() {
            assert!(all(&xml[..length], "Key").len() <= 2);
        }
        assert_eq!(first("<A>&unknown; & rest</A>", "A").as_deref(), Some("&unknown; & rest"));
    }
}
