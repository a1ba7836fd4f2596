//! SQL as text: tokens, statements with their spans, names. Pure; it knows no database.
//!
//! SQLite alone decides what a statement means. What is here is only what SQLite cannot tell:
//! where a statement ends in a file, and which words it mentions.

pub mod class;
pub mod copy;
pub mod names;
pub mod repeat;
pub mod rows;
pub mod split;
pub mod token;

pub use class::{Class, classify};
pub use names::{fold, normalise, quote};
pub use split::{Statement, split};
