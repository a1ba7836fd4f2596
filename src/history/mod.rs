//! Migrations as files: discovery, versions, headers. It reads files and knows no database.

mod discover;
mod down;
mod foreign;
mod header;
mod migration;
mod sorting;
mod version;
mod way_back;

pub use discover::TEMPLATE;
pub use discover::{Folder, Form, Ignored, Rules as FolderRules, discover};
pub use down::DownHalf;
pub use header::{Allowance, Header, Transaction, duration};
pub use migration::{Body, Checksum, Migration, read};
pub use version::Version;
