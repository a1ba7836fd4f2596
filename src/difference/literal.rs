//! Values as SQL literals that give the very same value again.

use rusqlite::types::ValueRef;
use std::io::{Result, Write};

/// The encoding in which a database keeps its text; a blob that is cast to text is read in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// From what `PRAGMA encoding` says.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "UTF-16le" => Self::Utf16Le,
            "UTF-16be" => Self::Utf16Be,
            _ => Self::Utf8,
        }
    }
}

/// Writes a value piece by piece, however long it is.
pub(super) fn write_literal(
    out: &mut dyn Write,
    value: ValueRef<'_>,
    encoding: Encoding,
) -> Result<()> {
    match value {
        ValueRef::Null => out.write_all(b"NULL"),
        ValueRef::Integer(number) => write!(out, "{number}"),
        // SQLite has no word for infinity, and reads what is too large as that.
        ValueRef::Real(number) if number.is_infinite() => {
            write!(out, "{}9e999", if number > 0.0 { "" } else { "-" })
        }
        ValueRef::Real(number) => write!(out, "{number:?}"),
        ValueRef::Blob(bytes) => write_blob(out, bytes),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => write_quoted(out, text),
            // A literal would end at a NUL, and cannot hold what is no UTF-8.
            text => {
                out.write_all(b"CAST(")?;
                match (encoding, text) {
                    (Encoding::Utf16Le, Ok(text)) => write_units(out, text, u16::to_le_bytes)?,
                    (Encoding::Utf16Be, Ok(text)) => write_units(out, text, u16::to_be_bytes)?,
                    _ => write_blob(out, bytes)?,
                }
                out.write_all(b" AS TEXT)")
            }
        },
    }
}

fn write_quoted(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(b"'")?;
    for (nth, part) in text.split('\'').enumerate() {
        if nth > 0 {
            out.write_all(b"''")?;
        }
        out.write_all(part.as_bytes())?;
    }
    out.write_all(b"'")
}

fn write_blob(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.write_all(b"X'")?;
    for piece in bytes.chunks(4096) {
        let digits = |byte: &u8| [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]);
        let text: Vec<u8> = piece.iter().flat_map(digits).collect();
        out.write_all(&text)?;
    }
    out.write_all(b"'")
}

fn write_units(out: &mut dyn Write, text: &str, order: fn(u16) -> [u8; 2]) -> Result<()> {
    let bytes: Vec<u8> = text.encode_utf16().flat_map(order).collect();
    write_blob(out, &bytes)
}

#[cfg(test)]
mod tests {
    use super::{Encoding, write_literal};
    use rusqlite::types::{Value, ValueRef};

    fn literal(value: ValueRef<'_>, encoding: Encoding) -> String {
        let mut out = Vec::new();
        write_literal(&mut out, value, encoding).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        let mut values = vec![
            Value::Null,
            Value::Integer(0),
            Value::Integer(i64::MIN),
            Value::Integer(i64::MAX),
            Value::Real(1.0),
            Value::Real(-0.1),
            Value::Real(f64::MAX),
            Value::Real(f64::MIN_POSITIVE),
            Value::Real(f64::INFINITY),
            Value::Real(f64::NEG_INFINITY),
            Value::Text(String::new()),
            Value::Text("it's ''quoted''; -- and\nlines\r\n\ttoo".into()),
            Value::Text("before\0after 😀".into()),
            Value::Blob(Vec::new()),
            Value::Blob((0..=255).cycle().take(10_000).collect()),
        ];
        let mut seed = 1_u64;
        for _ in 0..2000 {
            // Numbers of all sizes (Knuth's linear congruential generator).
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = f64::from_bits(seed);
            values.extend((!number.is_nan()).then_some(Value::Real(number)));
        }
        for name in ["UTF-8", "UTF-16le", "UTF-16be"] {
            let connection = crate::database::open_scratch().unwrap();
            connection.execute_batch(&format!("PRAGMA encoding = '{name}'")).unwrap();
            for value in &values {
                let text = literal(value.into(), Encoding::named(name));
                let found: Value =
                    connection.query_row(&format!("SELECT {text}"), [], |row| row.get(0)).unwrap();
                assert_eq!(found, *value, "{name}: {text}");
            }
        }
    }

    #[test]
    fn text_that_is_none_stays_what_it_is() {
        let connection = crate::database::open_scratch().unwrap();
        let text = literal(ValueRef::Text(b"a\xff'b"), Encoding::Utf8);
        let sql = format!("SELECT hex({text}), typeof({text})");
        let found: (String, String) =
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(found, ("61FF2762".into(), "text".into()));
    }
}
