//! The text of a manifest: JSON for people and programs, one line per file, streamed in both
//! directions because of many files it is long.

use crate::{Error, Result};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// Writes a value as JSON.
///
/// # Errors
/// The writer's.
pub(super) fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    // Collected, since the serializer writes it in pieces of a few bytes.
    let mut buffer = io::BufWriter::with_capacity(64 * 1024, out);
    let written = value
        .serialize(&mut Serializer::with_formatter(&mut buffer, Lines::default()))
        .map_err(io::Error::from)
        .and_then(|()| buffer.write_all(b"\n"))
        .and_then(|()| buffer.flush());
    if written.is_err() {
        // Taken apart, since it would try once more to write what failed.
        drop(buffer.into_parts());
    }
    written
}

/// How many bytes [`write`] writes.
///
/// # Errors
/// [`Error::Internal`] where the value has no JSON form.
pub(super) fn length(value: &impl Serialize) -> Result<u64> {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let written = write(&mut count, value);
    written.map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    Ok(count.0)
}

/// Indented, and whatever is in a list in a line of its own.
#[derive(Default)]
struct Lines<'a> {
    pretty: PrettyFormatter<'a>,
    /// How many lists are open.
    lists: u32,
}

impl Lines<'_> {
    fn is_in_list(&self) -> bool {
        self.lists > 0
    }
}

impl Formatter for Lines<'_> {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.lists += 1;
        if self.lists > 1 { out.write_all(b"[") } else { self.pretty.begin_array(out) }
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.lists -= 1;
        if self.is_in_list() { out.write_all(b"]") } else { self.pretty.end_array(out) }
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        match (self.lists, first) {
            (1, first) => self.pretty.begin_array_value(out, first),
            (_, true) => Ok(()),
            (_, false) => out.write_all(b", "),
        }
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.lists == 1 { self.pretty.end_array_value(out) } else { Ok(()) }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.is_in_list() { out.write_all(b"{") } else { self.pretty.begin_object(out) }
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.is_in_list() { out.write_all(b"}") } else { self.pretty.end_object(out) }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        match (self.is_in_list(), first) {
            (false, first) => self.pretty.begin_object_key(out, first),
            (true, true) => Ok(()),
            (true, false) => out.write_all(b", "),
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.is_in_list() { Ok(()) } else { self.pretty.end_object_value(out) }
    }
}

#[cfg(test)]
mod tests {
    use super::{length, write};

    #[test]
    fn a_record_is_a_line() {
        let value = serde_json::json!({
            "id": "x",
            "cut": { "kind": "all" },
            "none": [],
            "files": [{ "path": "a", "more": { "b": [1, 2] } }, { "path": "b" }],
        });
        let mut text = Vec::new();
        write(&mut text, &value).unwrap();
        assert_eq!(length(&value).unwrap(), text.len() as u64);
        let wanted = r#"{
  "cut": {
    "kind": "all"
  },
  "files": [
    {"more": {"b": [1, 2]}, "path": "a"},
    {"path": "b"}
  ],
  "id": "x",
  "none": []
}
"#;
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
    }
}
