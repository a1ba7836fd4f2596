//! What a database's schema is, as facts that carry whole definitions.
//!
//! `introspect` is the only reader of PRAGMAs about the schema. Nothing here changes a database.

pub mod definition;
pub mod diff;
pub mod facts;
pub mod introspect;
mod object;
pub(crate) mod references;
pub(crate) mod search;
pub mod shape;
mod sound;

pub use diff::{Change, diff};
pub use facts::{Object, ObjectKind, ObjectName, Part, Schema};
pub use introspect::{Introspector, schema_hash};
pub use shape::{Key, Shape, shape, shapes};
pub(crate) use sound::broken;

/// Whether a name belongs to SQLite or piton and is no part of an application's schema.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.get(..7).is_some_and(|start| {
        start.eq_ignore_ascii_case("sqlite_") || start.eq_ignore_ascii_case("_piton_")
    })
}
