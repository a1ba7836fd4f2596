//! One migration: a file with its version, header, statements and checksums.

use super::{
    down::{DownHalf, down_half},
    header::{Header, Transaction},
    sorting::is_machine_code,
    version::Version,
};
use crate::{
    Result, disk,
    error::{HistoryError, Place},
    sql::{
        self, Class, Statement,
        token::{Token, scan},
    },
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The two checksums of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// SHA-256 of the bytes, in hexadecimal.
    pub exact: String,
    /// The same of the text without byte order mark, carriage returns, spaces at line ends and
    /// empty lines at the end: what an editor or git changes by itself.
    pub forgiving: String,
}

/// What a migration carries out.
#[derive(Clone, Debug)]
pub enum Body {
    /// SQL statements, by their spans in the text.
    Sql(Vec<Statement>),
    /// An executable file; the interpreter is named where the file itself cannot be executed.
    Script {
        /// The words of its `#!` line, where its mode does not let it be executed.
        interpreter: Option<Vec<String>>,
    },
}

/// One versioned unit of a history.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its place in the order.
    pub version: Version,
    /// What follows the version in the file name, without the extension.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What its header declares.
    pub header: Header,
    /// What it carries out.
    pub body: Body,
    /// Its text; of a script that is not text, nothing.
    pub text: String,
    /// Its checksums.
    pub checksum: Checksum,
}

impl Migration {
    /// The file name, which is how messages call it.
    #[must_use]
    pub fn title(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Its statements; a script has none.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        match &self.body {
            Body::Sql(statements) => statements,
            Body::Script { .. } => &[],
        }
    }

    /// Whether nothing is in it yet: no statement, and no query that would be asked.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        matches!(&self.body, Body::Sql(statements) if statements.is_empty())
            && self.header.queries().next().is_none()
    }

    /// Whether a comment of it swallows a statement behind a carriage return: SQLite ends a comment at a line
    /// feed only.
    #[must_use]
    pub fn is_swallowed(&self) -> bool {
        // Most files have no such line end, and need not be cut into tokens.
        if self.is_script() || !self.text.contains('\r') {
            return false;
        }
        let is_comment = |token: &Token| self.text[token.span.clone()].starts_with("--");
        scan(&self.text).filter(is_comment).any(|token| {
            let comment = self.text[token.span].trim_end_matches('\r');
            comment
                .split('\r')
                .skip(1)
                .any(|line| !matches!(sql::classify(line), Class::Other | Class::DotCommand))
        })
    }

    /// Whether it is a script.
    #[must_use]
    pub fn is_script(&self) -> bool {
        matches!(self.body, Body::Script { .. })
    }

    /// What another tool would run only when it goes back; `allow: down-half` says that it is none.
    #[must_use]
    pub fn down_half(&self) -> Option<DownHalf> {
        let is_allowed = self.header.allow.iter().any(|allow| allow.code == "down-half");
        if is_allowed { None } else { down_half(&self.text, self.statements()) }
    }

    /// Whether it is SQL that declares nothing about how or whether it runs.
    #[must_use]
    pub fn is_plain_schema(&self) -> bool {
        let header = &self.header;
        self.shares_transaction()
            && header.skip_if.is_none()
            && header.require.is_empty()
            && header.verify.is_empty()
    }

    /// Whether it runs inside the run's shared transaction.
    #[must_use]
    pub fn shares_transaction(&self) -> bool {
        !self.is_script() && self.header.transaction == Transaction::Shared
    }

    /// A migration from SQL that lies in no file of its own, such as the ledger's.
    ///
    /// # Errors
    /// As [`read`].
    pub fn from_sql(version: Version, name: &str, path: &Path, text: String) -> Result<Self> {
        let header = Header::read(path, &text)?;
        let statements = sql::split(&text);
        refuse_shell_commands(path, &text, &statements)?;
        let checksum = checksum(text.as_bytes());
        let body = Body::Sql(statements);
        Ok(Self { version, name: name.into(), path: path.into(), header, body, text, checksum })
    }
}

/// Reads one migration or script file.
///
/// # Errors
/// [`HistoryError`] where it is not UTF-8, not executable, or its header is wrong.
pub fn read(version: Version, name: &str, path: &Path) -> Result<Migration> {
    let bytes = fs::read(path).map_err(disk::failed("read", path))?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql")) {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count();
                return Err(HistoryError::NotText { path: path.into(), line: line + 1 }.into());
            }
        };
        let checksum = checksum(text.as_bytes());
        return Ok(Migration { checksum, ..Migration::from_sql(version, name, path, text)? });
    }
    let checksum = checksum(&bytes);
    let binary = is_machine_code(&bytes);
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mode = fs::metadata(path).map_err(disk::failed("read", path))?.permissions().mode();
    let executable = mode & 0o111 != 0;
    let interpreter = match text.strip_prefix("#!") {
        Some(rest) if !executable => Some(words(rest)),
        Some(rest) if rest.split('\n').next().is_some_and(|line| line.ends_with('\r')) => {
            return Err(HistoryError::CarriageReturn { path: path.into() }.into());
        }
        Some(_) => None,
        None if executable && binary => None,
        // The system would hand such a file to a shell, whatever language it is in.
        None => return Err(HistoryError::NoProgram { path: path.into() }.into()),
    };
    let header = Header::read(path, &text)?;
    let body = Body::Script { interpreter };
    Ok(Migration { version, name: name.into(), path: path.into(), header, body, text, checksum })
}

fn words(rest: &str) -> Vec<String> {
    rest.lines().next().unwrap_or_default().split_whitespace().map(Into::into).collect()
}

/// The `sqlite3` shell's own commands are not SQL: SQLite would report a puzzling syntax error.
fn refuse_shell_commands(path: &Path, text: &str, statements: &[Statement]) -> Result<()> {
    for statement in statements {
        if sql::classify(statement.text(text)) == Class::DotCommand {
            let place = Place::of(path, text, statement.span.start);
            return Err(HistoryError::ShellCommand { place }.into());
        }
    }
    Ok(())
}

/// Both checksums of a file's bytes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> Checksum {
    let exact = hexadecimal(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut forgiving = String::with_capacity(text.len() + 1);
    for line in text.trim_start_matches('\u{feff}').trim_end().lines() {
        forgiving.push_str(line.trim_end());
        forgiving.push('\n');
    }
    // Most files need no forgiveness, and then the two are the same.
    let is_plain = forgiving.as_bytes() == bytes;
    let forgiving = if is_plain { exact.clone() } else { hexadecimal(forgiving.as_bytes()) };
    Checksum { exact, forgiving }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(bytes);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_forgiven_and_nothing_else() {
        let plain = checksum(b"SELECT 1;\nSELECT 2;\n");
        let edited = checksum("\u{feff}SELECT 1; \r\nSELECT 2;\r\n\r\n".as_bytes());
        assert_ne!(plain.exact, edited.exact);
        assert_eq!(plain.forgiving, edited.forgiving);
        assert_ne!(plain.forgiving, checksum(b"SELECT 1;\nSELECT 3;\n").forgiving);
        assert_ne!(plain.forgiving, checksum(b" SELECT 1;\nSELECT 2;\n").forgiving);
    }
}
