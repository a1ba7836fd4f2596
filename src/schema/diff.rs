//! The difference between two schemas, fact by fact.

use super::facts::{Object, ObjectKind, ObjectName, Part, Schema};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object.
    pub object: ObjectName,
    /// The part of it.
    pub part: Part,
    /// Its definition in the first schema, if it is there.
    pub before: Option<Arc<str>>,
    /// Its definition in the second schema, if it is there.
    pub after: Option<Arc<str>>,
}

impl Change {
    /// The object, and the part of it, in words.
    #[must_use]
    pub fn place(&self) -> String {
        match self.part {
            Part::Whole => self.object.to_string(),
            _ => format!("{}, {}", self.object, self.part),
        }
    }

    /// Whether its definition says more than its name: that of a column, a key or a number does, while what
    /// comes or goes as a whole has its text in the file.
    #[must_use]
    pub fn has_definition(&self) -> bool {
        self.object.kind == ObjectKind::Pragma
            || matches!(self.part, Part::Column(_) | Part::PrimaryKey)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        match (&self.before, &self.after) {
            (None, Some(after)) if self.has_definition() => write!(formatter, "+ {place}: {after}"),
            (Some(before), None) if self.has_definition() => {
                write!(formatter, "- {place}: {before}")
            }
            (None, Some(_)) => write!(formatter, "+ {place}"),
            (Some(_), None) => write!(formatter, "- {place}"),
            (Some(before), Some(after)) => write!(formatter, "~ {place}: {before} -> {after}"),
            (None, None) => write!(formatter, "{place}"),
        }
    }
}

/// The facts that differ from one schema to another, in the order of their objects and parts.
#[must_use]
pub fn diff(before: &Schema, after: &Schema) -> Vec<Change> {
    let names: BTreeSet<&ObjectName> = before.objects.keys().chain(after.objects.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (old, new) = (before.objects.get(name), after.objects.get(name));
        if let (Some(old), Some(new)) = (old, new)
            && Arc::ptr_eq(old, new)
        {
            continue;
        }
        object_changes(name, old, new, &mut changes);
    }
    changes
}

fn object_changes(
    name: &ObjectName,
    old: Option<&Arc<Object>>,
    new: Option<&Arc<Object>>,
    changes: &mut Vec<Change>,
) {
    let none = BTreeMap::new();
    let old = old.map_or(&none, |object| &object.facts);
    let new = new.map_or(&none, |object| &object.facts);
    let parts: BTreeSet<&Part> = old.keys().chain(new.keys()).collect();
    for part in parts {
        let (before, after) = (old.get(part).cloned(), new.get(part).cloned());
        if before != after {
            changes.push(Change { object: name.clone(), part: part.clone(), before, after });
        }
    }
}
