//! Integration tests: the laws in process, and the commands as a person types them, one file each.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod changes;
mod engine;
mod fixtures;
mod generator;
mod judge;
mod placeholders;
mod sandbox;
mod seeds;
mod statements;

mod adopt;
mod backup;
mod backups;
mod bad_config;
mod bad_data;
mod bad_disk;
mod bad_files;
mod cells;
mod chinook;
mod completions;
mod compression;
mod crash;
mod deploy;
mod deploying;
mod diff;
mod docs;
#[cfg(feature = "encryption")]
mod encryption;
mod full_disk;
mod generated;
mod history;
mod init;
mod json;
mod laws;
mod layers;
mod lock;
mod managers;
mod new;
mod offsite;
mod offsite_faults;
#[cfg(feature = "s3")]
mod offsite_s3;
#[cfg(feature = "sftp")]
mod offsite_sftp;
mod permissions;
mod plan;
mod prune;
mod recover;
mod restore;
mod rollback;
mod run;
#[cfg(any(feature = "s3", feature = "sftp"))]
mod servers;
mod several;
mod status;
mod systemd;
mod tenants;
mod up;
mod verify;
