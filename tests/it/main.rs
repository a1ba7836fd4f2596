//! Integration tests: the laws in process, and the commands as a person types them, one file each.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod changes;
mod counting;
mod engine;
mod exchanged;
mod findings;
mod fixtures;
mod generator;
mod judge;
mod placeholders;
mod programs;
mod sandbox;
mod seeds;
mod statements;

mod account;
mod adopt;
mod again;
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
mod counters;
mod crash;
mod damaged;
mod deciding;
mod deploy;
mod deploy_names;
#[cfg(any(feature = "s3", feature = "sftp"))]
mod deploy_ssh;
mod deploying;
mod diff;
mod docs;
mod down_halves;
#[cfg(feature = "encryption")]
mod encryption;
mod ends;
mod foreign_files;
mod formats;
mod full_disk;
mod generated;
mod going_back;
mod guarding_scripts;
mod history;
mod holes;
mod hostile;
mod hot;
mod in_use;
mod init;
mod json;
mod large;
mod laws;
mod layers;
mod lock;
mod logbook;
mod managers;
mod mounts;
mod new;
mod odd;
mod offsite;
mod offsite_faults;
#[cfg(feature = "s3")]
mod offsite_s3;
#[cfg(feature = "sftp")]
mod offsite_sftp;
mod operations;
mod permissions;
mod plan;
mod prune;
mod recover;
mod rehearsing;
mod renumbered;
mod restore;
mod rollback;
mod run;
mod save_lost;
mod search_index;
#[cfg(any(feature = "s3", feature = "sftp"))]
mod servers;
mod several;
mod signals;
mod status;
mod swap;
mod systemd;
mod tenants;
mod terminals;
mod unreadable;
mod up;
mod verify;
mod which_database;
