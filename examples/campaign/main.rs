//! The fault campaign: the real binary on small projects, interrupted in every way that can be
//! produced, and held to what a restore, a run and a backup promise.
//!
//! `cargo run --release --example campaign -- [CAMPAIGN…] [OPTION…]`; `--help` lists both. It never
//! touches anything but a folder of its own below the folder for temporary files.
#![allow(clippy::disallowed_methods)]

mod archive;
mod archives;
mod calls;
mod cases;
mod cut;
mod errors;
mod files;
mod full;
mod holder;
mod hunt;
mod judge;
mod kill;
mod listed;
mod model;
mod mutants;
mod options;
mod power;
mod project;
mod races;
mod scenario;
mod service;
mod setup;
mod state;
mod tally;
mod tarball;
mod tracer;

use options::{Length, Options};
use project::{Project, Showing};
use scenario::Scenario;
use setup::Made;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use tally::Tally;

/// No leases: whoever looks at a database while the program that leased it is stopped would wait for it.
const WITHOUT_LEASES: &str = "lease:1:22+";

pub(crate) const CAMPAIGNS: [&str; 7] =
    ["kill", "cut", "errors", "full", "service", "archives", "mutants"];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == holder::ARGUMENT) {
        return match holder::serve(&words[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    let ran = Options::parse(words.into_iter()).map_err(Into::into).and_then(run);
    match ran {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("campaign: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs what was asked for; gives how many violations there are.
fn run(options: Options) -> Made<usize> {
    let piton = match &options.piton {
        Some(piton) => piton.canonicalize()?,
        None => built(&["faults"])?,
    };
    let folder = tempfile::Builder::new().prefix("piton-campaign-").tempdir()?;
    let plain = Project {
        piton,
        folder: folder.path().into(),
        variables: vec![("PITON_FAULT".into(), WITHOUT_LEASES.into())],
        showing: Showing::Nothing,
    };
    let mut tally = Tally::open(options.clone())?;
    let mut scenarios = scenario::all(&plain, &folder.path().join("templates"))?;
    if options.trial.is_some() {
        // A single trial is one that somebody looks into.
        scenarios.iter_mut().for_each(|it| it.template.showing = Showing::Changes);
    }
    for campaign in &options.campaigns {
        one(campaign, &mut tally, &scenarios, &plain)?;
    }
    if options.trial.is_some() {
        println!("everything is left in {}", folder.keep().display());
        return Ok(0);
    }
    Ok(tally.print())
}

fn one(campaign: &str, tally: &mut Tally, scenarios: &[Scenario], plain: &Project) -> Made<()> {
    let folder = &plain.folder;
    let options = tally.options.clone();
    let trials = |long, short| {
        let default = if options.length == Length::Short { short } else { long };
        options.trials.unwrap_or(default)
    };
    match campaign {
        "kill" => {
            let count = trials(20_000, 96);
            kill::run(tally, scenarios, count, folder)?;
            // A trial of these takes seconds.
            if options.length == Length::Long && tally.wants_some("kill backup-large") {
                let large = scenario::large(plain, &folder.join("templates"))?;
                kill::run(tally, &large, count / 40, folder)?;
            }
        }
        "cut" => cut::run(tally, scenarios, trials(9_000, 108), folder)?,
        "errors" => errors::run(tally, scenarios, trials(12_000, 96), folder)?,
        "full" => full::run(tally, scenarios, trials(2_000, 36), folder)?,
        // Here nobody stops the program and looks into its files.
        "service" => {
            let leasing = Project { variables: Vec::new(), ..plain.clone() };
            service::run(tally, &leasing, trials(3_000, 30), folder)?;
        }
        "archives" => archives::run(tally, plain, trials(100_000, 200), folder)?,
        "mutants" => {
            let piton = match &options.mutants {
                Some(piton) => piton.canonicalize()?,
                None => built(&["faults"])?,
            };
            let mutable = Project { piton, ..plain.clone() };
            mutants::run(tally, scenarios, &mutable, trials(1_500, 20), folder)?;
        }
        other => return Err(format!("there is no campaign `{other}`").into()),
    }
    Ok(())
}

/// Builds the binary in the profile of this program, and keeps it where no later build replaces
/// it.
fn built(features: &[&str]) -> Made<PathBuf> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(["build", "--quiet", "--bin", "piton"]);
    // Where debug assertions are on, faults can be armed anyway.
    if !cfg!(debug_assertions) {
        command.arg("--release").arg("--features").arg(features.join(","));
    }
    if !command.current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        return Err("the binary does not build".into());
    }
    let here = env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).ok_or("the example lies nowhere")?;
    let kept = folder.join(format!("piton-campaign-{}", features.join("-")));
    std::fs::copy(folder.join("piton"), &kept)?;
    Ok(kept)
}
