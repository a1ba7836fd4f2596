//! Migrations as files: discovery, versions, headers. It reads files and knows no database.

mod discover;
mod down;
mod header;
mod migration;
mod version;

pub use discover::{Folder, Ignored, discover};
pub use down::DownHalf;
pub use header::{Allowance, Header, Transaction, duration};
pub use migration::{Body, Checksum, Migration, read};
pub use version::Version;
