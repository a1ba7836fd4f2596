//! Guards: what a statement changes in the schema, and whether a live schema still needs it.
//!
//! Pure: effects and verdicts are computed from facts, never by looking at a database.

mod effect;
mod verdict;

pub use effect::Effect;
pub use verdict::{Verdict, verdict};
