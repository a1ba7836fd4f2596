//! The difference between two schemas, fact by fact.

use super::facts::{Object, ObjectName, Part, Schema};
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

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, part, .. } = self;
        let place = match part {
            Part::Whole => object.to_string(),
            _ => format!("{object}, {part}"),
        };
        // What comes or goes as a whole is told by its name; its text is in the file.
        let named = !matches!(part, Part::Column(_) | Part::PrimaryKey);
        match (&self.before, &self.after) {
            (None, Some(_)) if named => write!(formatter, "+ {place}"),
            (Some(_), None) if named => write!(formatter, "- {place}"),
            (None, Some(after)) => write!(formatter, "+ {place}: {after}"),
            (Some(before), None) => write!(formatter, "- {place}: {before}"),
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
