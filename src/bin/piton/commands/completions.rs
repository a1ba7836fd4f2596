//! `completions` and `man`: made from the definition of the arguments.

use crate::{args::definition, render::Report};
use anyhow::Result;
use clap_complete::Shell;
use piton::project::Outcome;
use serde_json::json;

/// Completions for a shell.
pub fn shell(shell: Shell) -> Report {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut definition(), "piton", &mut bytes);
    of_bytes(&bytes)
}

/// The manual page, in roff.
pub fn manual() -> Result<Report> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(definition()).render(&mut bytes)?;
    Ok(of_bytes(&bytes))
}

fn of_bytes(bytes: &[u8]) -> Report {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Report::new(Outcome::Done, json!({ "text": text }), text).verbatim()
}
