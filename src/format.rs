//! The formats of piton's own records in JSON: a number in each, and one sentence for a later one.
//!
//! A record without a number has format 1: the first piton did not write it everywhere. What a format
//! means is in `docs/formats.md`.

use crate::{Error, Result};
use serde::{Deserialize, de::DeserializeOwned};
use std::path::Path;

/// The format of a record that does not say it.
#[must_use]
pub const fn first() -> u32 {
    1
}

/// All that is read of a record before it is known whether the rest can be understood.
#[derive(Deserialize)]
struct Head {
    #[serde(default = "first")]
    format: u32,
}

/// Reads a record of a format up to `newest`; `path` is its file.
///
/// # Errors
/// [`Error::Newer`] where a later piton wrote it; what `bad` makes of the reason where it is malformed.
pub fn parse<T: DeserializeOwned>(
    json: &[u8],
    newest: u32,
    path: &Path,
    bad: impl FnOnce(String) -> Error,
) -> Result<T> {
    // The number first: a later record may have another shape.
    if let Ok(Head { format }) = serde_json::from_slice(json)
        && format > newest
    {
        return Err(Error::Newer { path: path.into(), format, known: newest });
    }
    serde_json::from_slice(json).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::{Error, Kind};
    use serde::Deserialize;
    use std::path::Path;

    #[derive(Debug, Deserialize)]
    struct Record {
        #[serde(default = "super::first")]
        format: u32,
        word: String,
    }

    #[test]
    fn a_record_is_read_as_its_format_says() {
        let read = |json: &str| {
            parse::<Record>(json.as_bytes(), 2, Path::new("x.json"), Error::Internal)
                .map(|record| (record.format, record.word))
        };
        let good = |format| Some((format, "a".to_string()));
        assert_eq!(read(r#"{"word":"a"}"#).ok(), good(1));
        assert_eq!(read(r#"{"format":1,"word":"a"}"#).ok(), good(1));
        assert_eq!(read(r#"{"format":2,"word":"a","more":1}"#).ok(), good(2));
        for newer in
            [r#"{"format":3,"word":"a"}"#, r#"{"format":4,"word":{"of":1}}"#, r#"{"format":3}"#]
        {
            let error = read(newer).unwrap_err();
            assert_eq!(error.kind(), Kind::Refused, "{newer}");
            assert!(error.to_string().contains("newer piton"), "{error}");
        }
        for broken in ["", "{", "[]", r#"{"format":"x","word":"a"}"#, r#"{"format":2}"#] {
            assert!(matches!(read(broken), Err(Error::Internal(_))), "{broken}");
        }
    }
}
