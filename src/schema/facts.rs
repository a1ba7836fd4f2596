//! Facts: a schema taken apart into pieces, each with its whole definition.
//!
//! A bare name is never a fact: a guard that tests names only skips real work (the same table name
//! is created again with another definition in half of the histories in the wild).

use std::{collections::BTreeMap, fmt, sync::Arc};

/// The kinds of schema objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A table, ordinary or virtual.
    Table,
    /// An index made by CREATE INDEX.
    Index,
    /// A trigger.
    Trigger,
    /// A view.
    View,
    /// A number in the header of the database that is the application's: `user_version` and
    /// `application_id`, where it is not 0.
    Pragma,
}

impl ObjectKind {
    /// The word of `sqlite_schema.type`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::View => "view",
            Self::Pragma => "pragma",
        }
    }

    /// The kind that a word of `sqlite_schema.type` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Table, Self::Index, Self::Trigger, Self::View]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// An object's kind and folded name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name, folded.
    pub name: Arc<str>,
}

impl ObjectName {
    /// A name from its kind and its text in any letter case.
    #[must_use]
    pub fn new(kind: ObjectKind, name: &str) -> Self {
        Self { kind, name: crate::sql::fold(name).into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} `{}`", self.kind.word(), self.name)
    }
}

/// Which piece of an object a fact describes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The object itself: its options, or its whole definition where it has no parts.
    Whole,
    /// A column, by folded name.
    Column(Arc<str>),
    /// The primary key.
    PrimaryKey,
    /// A UNIQUE constraint, by its columns.
    Unique(Arc<str>),
    /// A CHECK constraint, by its canonical expression.
    Check(Arc<str>),
    /// A foreign key, by its whole definition.
    ForeignKey(Arc<str>),
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => formatter.write_str("definition"),
            Self::Column(name) => write!(formatter, "column `{name}`"),
            Self::PrimaryKey => formatter.write_str("primary key"),
            Self::Unique(columns) => write!(formatter, "unique ({columns})"),
            Self::Check(expression) => write!(formatter, "check ({expression})"),
            Self::ForeignKey(definition) => write!(formatter, "foreign key {definition}"),
        }
    }
}

/// The facts of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The name as written.
    pub name: String,
    /// The folded name of the table it belongs to; its own for a table or view.
    pub table: Arc<str>,
    /// The text that made it, as SQLite stores it.
    pub sql: String,
    /// Each part with its canonical definition.
    pub facts: BTreeMap<Part, Arc<str>>,
    /// The folded columns of a table in their order.
    pub columns: Vec<Arc<str>>,
}

/// A schema: its objects by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The objects; cheap to clone.
    pub objects: BTreeMap<ObjectName, Arc<Object>>,
}

impl Schema {
    /// The definition of a part, where the object and the part exist.
    #[must_use]
    pub fn fact(&self, object: &ObjectName, part: &Part) -> Option<&Arc<str>> {
        self.objects.get(object)?.facts.get(part)
    }

    /// An object by kind and folded name.
    #[must_use]
    pub fn get(&self, kind: ObjectKind, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(&ObjectName::new(kind, name))
    }

    /// Whether an object has this folded name.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        let name: Arc<str> = name.into();
        [ObjectKind::Table, ObjectKind::Index, ObjectKind::Trigger, ObjectKind::View]
            .into_iter()
            .any(|kind| self.objects.contains_key(&ObjectName { kind, name: name.clone() }))
    }

    /// The object with this folded name, whatever its kind; numbers of the header are none.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&ObjectName, &Arc<Object>)> {
        self.objects
            .iter()
            .find(|(object, _)| object.kind != ObjectKind::Pragma && &*object.name == name)
    }
}
