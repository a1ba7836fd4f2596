//! Integration tests: the commands as a person types them, one file per command.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod placeholders;
mod sandbox;

mod adopt;
mod backup;
mod backups;
mod bad_config;
mod bad_data;
mod bad_disk;
mod bad_files;
mod chinook;
mod completions;
mod crash;
mod deploy;
mod docs;
mod history;
mod init;
mod json;
mod layers;
mod lock;
mod new;
mod plan;
mod recover;
mod restore;
mod rollback;
mod run;
mod several;
mod status;
mod tenants;
mod up;
mod verify;
