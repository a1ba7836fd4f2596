//! The commands, one small file each; this one opens the project and hands over.

mod adopt;
mod backup;
mod backups;
mod check;
mod completions;
mod deploy;
mod diff;
mod drill;
mod history;
mod init;
mod new;
mod offsite;
mod paths;
mod plan;
mod prune;
mod recover;
mod rehearse;
mod remark;
mod restore;
mod run;
mod status;
mod surroundings;
mod tables;
mod up;
mod verify;

use crate::{
    args::{Arguments, Command, Global, Look, Status},
    notice::Notice,
    render::{Report, Screen, Teller},
};
use anyhow::Result;
use piton::{
    error::HistoryError,
    history::Version,
    lock::Patience,
    plan::{Healing, OutOfOrder, Settings},
    project::config::FILE,
    project::{
        Config, Counts, Notify, OperationOptions, Outcome, Overrides, Project, Repeat, Selection,
        World,
    },
    store::Selector,
};
use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command as Process,
};

/// What every command gets.
pub struct Context {
    /// The project.
    pub project: Project,
    /// How to print and whether to ask.
    pub screen: Screen,
    /// Tells what happens on the way.
    pub teller: Teller,
}

/// Runs the command that was typed.
pub fn run(
    arguments: &Arguments,
    words: &[OsString],
    screen: &Screen,
    notice: &mut Option<Notice>,
) -> Result<(Report, Screen)> {
    match &arguments.command {
        Command::Init { folder, timers: Some(into) } => {
            return Ok((init::timers(overrides(&arguments.global), folder, into)?, *screen));
        }
        Command::Init { folder, .. } => return Ok((init::run(folder)?, *screen)),
        Command::Completions { shell } => return Ok((completions::shell(*shell), *screen)),
        Command::Man => return Ok((completions::manual()?, *screen)),
        Command::Status(Status { paths: Some(form), .. }) => {
            return paths::run(&overrides(&arguments.global), *form, screen);
        }
        _ => {}
    }
    let overrides = overrides(&arguments.global);
    let file = overrides.config.as_deref().unwrap_or(Path::new(FILE));
    *notice = Notice::of(arguments, Notify::of_file(file));
    let mut config = Config::load(&overrides)?;
    *notice = Notice::of(arguments, config.notify.clone());
    if let Command::Deploy(options) = &arguments.command
        && let Some(release) = deploy::release(&config, options)?
    {
        config = config.for_release(&release)?;
    }
    let screen = Screen::with_file(arguments, &config.file);
    screen.apply_color();
    let typed: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut world = World::system(&typed.join(" "));
    world.deploy = std::env::var("PITON_DEPLOY").ok();
    world.git_revision = git_revision(&config);
    world.variables = Box::new(|name| std::env::var(name).ok());
    let project = Project::new(config, world);
    let context = Context { project, screen, teller: Teller::new(screen) };
    let report = match &arguments.command {
        Command::Status(status) => status::run(&context, &status.look),
        Command::Plan(look) => plan::run(&context, look),
        Command::Check { target, strict } => check::run(&context, target, *strict),
        Command::Rehearse(options) => rehearse::run(&context, options),
        Command::Up(options) => up::run(&context, options),
        Command::New { name, script, target } => {
            new::run(&context, name, *script, target.as_deref())
        }
        Command::Run { script: None, .. } => run::list(&context),
        Command::Run { script: Some(script), arguments, again, wait } => {
            let options = OperationOptions {
                script: script.clone(),
                arguments: arguments.clone(),
                repeat: if *again { Repeat::Run } else { Repeat::Refuse },
                patience: patience(*wait),
            };
            run::run(&context, &options)
        }
        Command::History { target, text } => history::run(&context, target, text.as_deref()),
        Command::Backup { label, wait } => backup::run(&context, label.clone(), patience(*wait)),
        Command::Backups { offsite: true, .. } => offsite::list(&context),
        Command::Backups { id, action: None, .. } => backups::run(&context, id.as_deref()),
        Command::Backups { action: Some(action), .. } => remark::run(&context, action),
        Command::Verify { id, all, offsite } => {
            let from = if *offsite { verify::From::Offsite } else { verify::From::Here };
            verify::run(&context, (!all).then_some(id), from)
        }
        Command::Diff { first, second, rows, only, exit_code } => {
            let differing = if *exit_code { Outcome::Pending } else { Outcome::Done };
            diff::run(&context, (first, second), (only, *rows), differing)
        }
        Command::Drill { id, accept } => {
            let counts = if *accept { Counts::Accepted } else { Counts::Judged };
            drill::run(&context, id, counts)
        }
        Command::Prune { dry_run: true, .. } => prune::plan(&context),
        Command::Prune { wait, .. } => prune::run(&context, patience(*wait)),
        Command::Restore(restore) => restore::run(&context, restore),
        Command::Rollback(back) => restore::rollback(&context, back),
        Command::Recover { wait } => recover::run(&context, patience(*wait)),
        Command::Deploy(options) => deploy::run(&context, options),
        Command::Adopt { at, accept, renumbered, forget, missing, target, wait } => {
            let effect = adopt::effect(*missing);
            let word = match (at, accept, forget, renumbered) {
                (Some(at), ..) => adopt::Word::At(at),
                (_, Some(version), ..) => adopt::Word::Accept(version),
                (_, _, Some(version), _) => adopt::Word::Forget(version),
                (.., last) => adopt::Word::Renumbered(last.as_ref().and_then(Option::as_deref)),
            };
            adopt::run(&context, word, effect, target, patience(*wait))
        }
        Command::Init { .. } | Command::Completions { .. } | Command::Man => Ok(nothing()),
    };
    // What the file says about JSON, colour and silence holds for failures too.
    Ok((report.unwrap_or_else(|error| Report::failure(&error)), screen))
}

fn nothing() -> Report {
    Report::new(Outcome::NothingToDo, serde_json::json!({}), String::new())
}

fn overrides(global: &Global) -> Overrides {
    Overrides {
        config: global.config.clone().or_else(above),
        data: global.data.clone(),
        migrations: global.migrations.clone(),
        scripts: global.scripts.clone(),
        backups: global.backups.clone(),
        database: global.database.clone(),
        exclude: global.exclude.clone(),
        include: global.include.clone(),
        compression: global.compression.clone(),
        // A variable that is set to nothing names none.
        recipients: global.recipients.iter().filter(|it| !it.is_empty()).cloned().collect(),
        identity: global.identity.clone(),
        busy_timeout: global.busy_timeout.clone(),
        script_timeout: global.script_timeout.clone(),
        barrier_limit: global.barrier_limit.clone(),
        schema_only: global.schema_only,
    }
}

/// The configuration of a folder above the current one, where there is none here.
fn above() -> Option<PathBuf> {
    let is_there = |path: &Path| path.is_file();
    if is_there(Path::new(FILE)) {
        return None;
    }
    let here = std::env::current_dir().ok()?;
    // A repository ends at its top; what lies above is another project's.
    let top = here.ancestors().find(|folder| folder.join(".git").exists());
    let inside = |folder: &&Path| top.is_none_or(|top| folder.starts_with(top));
    let mut folders = here.ancestors().take_while(inside).map(|folder| folder.join(FILE));
    let user = rustix::process::geteuid().as_raw();
    // In a folder like /tmp anyone may leave a file for those who work below it.
    let is_own = |path: &PathBuf| {
        let owner = std::fs::metadata(path).map(|metadata| metadata.uid());
        owner.is_ok_and(|owner| owner == user || owner == 0)
    };
    folders.find(|path| is_there(path)).filter(is_own)
}

/// The revision of the project's checkout, where it is one and git is there.
fn git_revision(config: &Config) -> Option<String> {
    if !config.root.join(".git").exists() {
        return None;
    }
    let output =
        Process::new("git").args(["rev-parse", "HEAD"]).current_dir(&config.root).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

/// What to do when another piton works.
pub fn patience(wait: bool) -> Patience {
    if wait { Patience::Wait } else { Patience::Refuse }
}

/// Understands a version.
pub fn version(text: &str) -> Result<Version> {
    let wrong = || piton::Error::from(HistoryError::NoSuchVersion { version: text.into() });
    Ok(Version::parse(text).ok_or_else(wrong)?)
}

/// Understands `latest`, an id or the beginning of one, a label, or a day.
pub fn selector(text: &str) -> Result<Selector> {
    Ok(Selector::named(text, chrono::Utc::now()).map_err(piton::Error::from)?)
}

/// Targets and planning choices.
pub fn selection(
    targets: &[String],
    to: Option<&str>,
    late: bool,
    heal: bool,
) -> Result<Selection> {
    Ok(Selection {
        targets: targets.to_vec(),
        settings: Settings {
            out_of_order: if late { OutOfOrder::Run } else { OutOfOrder::Refuse },
            healing: if heal { Healing::Redo } else { Healing::Refuse },
            last: to.map(version).transpose()?,
        },
    })
}

/// The choices of `status` and `plan`.
pub fn looked_at(look: &Look) -> Result<Selection> {
    selection(&look.target, look.to.as_deref(), look.out_of_order, look.heal)
}
