//! A small HTTP service on two SQLite databases, to be deployed in trials, with a client that loads
//! it and a checker that says which acknowledged writes are missing.
//!
//! ```text
//! service serve [--data DIR] [--address HOST:PORT]      POST /write, GET /health, GET /acknowledged
//! service load --log FILE [--address HOST:PORT] [--seconds COUNT] [--pause MILLISECONDS]
//! service check --log FILE [--data DIR] [--except RELEASE]
//! ```
//!
//! What `serve` does wrong on purpose stands in the file `release` of its folder (`release.rs`). It
//! never makes a database or a table: that is what the migrations beside this file are for.
#![allow(clippy::disallowed_methods)] // A service writes as it likes; only piton goes through `disk`.

mod check;
mod http;
mod load;
mod release;
mod serve;
mod store;

use std::{collections::BTreeMap, env, error::Error, process::ExitCode};

/// Whatever goes wrong ends the command with a message.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: service serve|load|check [--data DIR] [--address HOST:PORT] \
                     [--log FILE] [--seconds COUNT] [--pause MILLISECONDS] [--except RELEASE]";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    let flags = Flags::read(words.get(1..).unwrap_or_default())?;
    match words.first().map(String::as_str) {
        Some("serve") => serve::run(&flags),
        Some("load") => load::run(&flags),
        Some("check") => check::run(&flags),
        _ => Err(USAGE.into()),
    }
}

/// `--name value` pairs.
struct Flags(BTreeMap<String, String>);

impl Flags {
    fn read(words: &[String]) -> Result<Self> {
        let mut found = BTreeMap::new();
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(USAGE.into()) };
            let name = name.strip_prefix("--").ok_or(USAGE)?;
            let known = ["data", "address", "log", "seconds", "pause", "except"];
            if !known.contains(&name) {
                return Err(USAGE.into());
            }
            found.insert(name.to_string(), value.clone());
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn data(&self) -> &str {
        self.get("data").unwrap_or("data")
    }

    fn address(&self) -> &str {
        self.get("address").unwrap_or("127.0.0.1:8080")
    }

    fn log(&self) -> Result<&str> {
        self.get("log").ok_or_else(|| USAGE.into())
    }

    fn number(&self, name: &str, default: u64) -> Result<u64> {
        self.get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| format!("--{name} needs a number, not `{text}`").into())
        })
    }
}
