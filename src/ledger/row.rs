//! One row of the ledger.

use crate::history::{Migration, Version};
use serde::Serialize;

/// What kind of file a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A migration in SQL.
    Sql,
    /// A script migration.
    Script,
    /// A data operation from the scripts folder, run by name.
    Operation,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// Begun; left at this after a crash or a failure, it is dirty.
    Started,
    /// It ran to its end.
    Applied,
    /// It was found to be done already; nothing ran.
    Recorded,
}

/// How piton knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// Piton ran it.
    Run,
    /// Its effect was in the schema.
    Schema,
    /// The effect of a later migration was in the schema.
    Later,
    /// Its `skip-if` guard said so.
    Guard,
    /// A person said so with `adopt`.
    Adopted,
    /// The same ran under another number, and a person said so with `adopt --renumbered`.
    Renumbered,
}

macro_rules! words {
    ($type:ty, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// The word in the ledger.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant that a word of the ledger names.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(EntryKind, Sql => "sql", Script => "script", Operation => "operation");
words!(EntryState, Started => "started", Applied => "applied", Recorded => "recorded");
words!(Witness, Run => "run", Schema => "schema", Later => "later", Guard => "guard",
    Adopted => "adopted", Renumbered => "renumbered");

/// The name of the row that says that nothing of the history ran before piton came.
pub const BASELINE: &str = "baseline";

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The row's number; rows are in the order in which things ran. 0 before it is inserted.
    pub id: i64,
    /// The version; of an operation, its name stands alone and the version is `0`.
    pub version: Version,
    /// The name in the file name.
    pub name: String,
    /// SQL, script or operation.
    pub kind: EntryKind,
    /// How far it got.
    pub state: EntryState,
    /// How piton knew.
    pub witness: Witness,
    /// SHA-256 of the file's bytes, hexadecimal.
    pub checksum: String,
    /// SHA-256 of the text with line ends and trailing spaces forgiven, hexadecimal.
    pub forgiving: String,
    /// The file's text as it ran.
    #[serde(skip)]
    pub text: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// How long it took, in milliseconds.
    pub milliseconds: i64,
    /// Statements finished, of a file with `transaction: none`.
    pub statements: i64,
    /// The hash of the whole schema text after it.
    pub schema_hash: String,
    /// Schema objects that a script made or changed, one per line, such as `table users`. Of a file that
    /// ran under other numbers, first the rows that this one replaces, such as `row 2`.
    pub objects: String,
    /// The backup that its run took before it.
    pub backup: Option<String>,
    /// The version of piton.
    pub piton: String,
    /// What a script wrote, its end where it is long.
    pub output: Option<String>,
}

impl Entry {
    /// A row about a migration, before it is known how it went.
    #[must_use]
    pub fn of(migration: &Migration, started: String) -> Self {
        Self {
            id: 0,
            version: migration.version.clone(),
            name: migration.name.clone(),
            kind: if migration.is_script() { EntryKind::Script } else { EntryKind::Sql },
            state: EntryState::Applied,
            witness: Witness::Run,
            checksum: migration.checksum.exact.clone(),
            forgiving: migration.checksum.forgiving.clone(),
            text: migration.text.clone(),
            started,
            milliseconds: 0,
            statements: i64::try_from(migration.statements().len()).unwrap_or(i64::MAX),
            schema_hash: String::new(),
            objects: String::new(),
            backup: None,
            piton: env!("CARGO_PKG_VERSION").into(),
            output: None,
        }
    }

    /// Whether it says that nothing of the history ran before piton came.
    #[must_use]
    pub fn is_baseline(&self) -> bool {
        self.kind == EntryKind::Operation && self.name == BASELINE
    }
}
