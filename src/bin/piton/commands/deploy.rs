//! `deploy`: from a new release to a healthy service, or back to where it was.

use super::{Context, offsite, patience, plan, restore};
use crate::{
    args::{Deploy, When},
    interrupt,
    render::{Report, deploy as shown, text},
};
use anyhow::Result;
use piton::{
    deploy::{Ending, Entrance, FailingProbes, Restart, Work},
    project::{
        Config, DeployOptions, DeployReport, Outcome, RestoreOptions, Selection, Source,
        deploy_outcome,
    },
    restore::Gate,
    store::Selector,
};
use serde_json::json;

/// Deploys, or does with the last deploy what was asked for.
pub fn run(context: &Context, options: &Deploy) -> Result<Report> {
    if options.status {
        return status(context, options);
    }
    if options.rollback {
        return roll_back(context, options);
    }
    if options.dry_run {
        return dry_run(context, options);
    }
    let asked = interrupt::heed()?;
    let project = &context.project;
    let patience = patience(options.wait);
    let entrance = match (options.resume, options.abort) {
        (true, _) => Some(Entrance::Resume),
        (_, true) => Some(Entrance::Abort),
        _ => None,
    };
    let report = match entrance {
        Some(entrance) => project.enter_deploy(entrance, patience, &asked, &context.teller)?,
        None => {
            let failing_probes = match options.ignore_failing_probes {
                true => FailingProbes::Ignore,
                false => FailingProbes::Refuse,
            };
            let (release, restart) = (options.release.clone(), restart(options));
            let chosen = DeployOptions { release, restart, failing_probes, patience };
            project.deploy(&chosen, &asked, &context.teller)?
        }
    };
    Ok(finished(&report, options))
}

fn restart(options: &Deploy) -> Option<Restart> {
    options.restart.map(|when| match when {
        When::Always => Restart::Always,
        When::WhenNeeded => Restart::WhenNeeded,
    })
}

/// The plan, and what a deploy would go through.
fn dry_run(context: &Context, options: &Deploy) -> Result<Report> {
    let mut report = plan::of_selection(context, &Selection::default(), "piton deploy")?;
    let pending = match report.outcome {
        Outcome::Pending => 1,
        Outcome::Problem(_) => return Ok(report),
        _ => 0,
    };
    let outline = context.project.deploy_outline(restart(options), pending);
    report.human = shown::outline(&outline) + &report.human;
    report.json.extend([
        ("phases".into(), json!(outline.phases)),
        ("service".into(), json!(outline.service)),
        ("probes".into(), json!(outline.probes)),
    ]);
    report.outcome = Outcome::Done;
    Ok(report)
}

/// The release whose files a command works with: the one that is named, or that of the deploy which is
/// gone on with.
pub fn release(config: &Config, options: &Deploy) -> Result<Option<String>> {
    if options.resume || options.abort {
        let record = piton::deploy::state::read(&config.data)?;
        return Ok(record.and_then(|record| record.release));
    }
    Ok(options.release.clone())
}

fn finished(report: &DeployReport, options: &Deploy) -> Report {
    let outcome = report.outcome();
    let error = report.finished.error.as_ref();
    let fields = json!({
        "deploy": report.record,
        "error": error.map(|it| json!({ "message": it.to_string(), "hint": it.hint() })),
        "offsite": report.offsite.as_ref().map(offsite::to_json),
    });
    let warning = offsite::warning(report.offsite.as_ref());
    if options.markdown {
        return Report::new(outcome, fields, shown::markdown(&report.record))
            .with_problems(warning);
    }
    let closing = shown::closing(&report.record, error);
    match outcome.exit_code() {
        0 => {
            let copied = offsite::line(report.offsite.as_ref());
            Report::new(outcome, fields, copied + &closing).with_problems(warning)
        }
        _ => Report::new(outcome, fields, String::new()).with_problems(closing),
    }
}

fn status(context: &Context, options: &Deploy) -> Result<Report> {
    let (record, hold) = context.project.last_deploy()?;
    let fields = json!({ "deploy": record, "hold": hold });
    let Some(record) = record else {
        let human = "no deploy has been made\n".to_string();
        return Ok(Report::new(Outcome::NothingToDo, fields, human));
    };
    let outcome = match (options.exit_code, record.ending) {
        (false, _) => Outcome::Done,
        // It was asked for, so it is no failure.
        (true, Some(Ending::RolledBack)) if record.asked_back => Outcome::Done,
        (true, ending) => deploy_outcome(ending, None),
    };
    let mut human = match options.markdown {
        true => shown::markdown(&record),
        false => shown::phases(&record) + &shown::closing(&record, None),
    };
    if let Some(hold) = hold
        && !options.markdown
    {
        human.push_str(&format!(
            "{} migrations are held since deploy {} was rolled back\n",
            text::styled(text::NOTICE, "note:"),
            hold.deploy
        ));
        human.push_str(&text::next("deploy a mended release, or piton up --lift-hold"));
    }
    Ok(Report::new(outcome, fields, human))
}

/// Going back loses what the service has written since: that is shown, and asked for.
fn roll_back(context: &Context, options: &Deploy) -> Result<Report> {
    let project = &context.project;
    let (record, _) = project.last_deploy()?;
    let mut human = String::new();
    if let Some(record) = &record
        && record.ending == Some(Ending::RolledBack)
    {
        project.require_still_back(record)?;
        let human = format!("nothing to do: deploy {} is rolled back already\n", record.id);
        return Ok(Report::new(Outcome::NothingToDo, json!({ "deploy": record }), human));
    }
    if let Some(record) = &record
        && record.work == Work::Migrate
        && let Some(backup) = &record.final_backup
    {
        let patience = patience(options.wait);
        let chosen = RestoreOptions { only: Vec::new(), gate: Gate::Hot, patience };
        let source =
            Source::Named(backup.as_str().parse::<Selector>().map_err(piton::Error::from)?);
        let found = project.preview_restore(&source, &chosen, &context.teller)?;
        human = restore::preview(&found.preview);
    }
    if options.dry_run {
        return Ok(Report::new(Outcome::Done, json!({ "deploy": record }), human));
    }
    if !context.screen.yes && !context.screen.json && !context.screen.quiet {
        restore::eprint_human(&human);
    }
    if !context.screen.confirm("take the last deploy back?")? {
        let human = "nothing was touched\n".to_string();
        return Ok(Report::new(Outcome::NothingToDo, json!({ "deploy": record }), human));
    }
    let asked = interrupt::heed()?;
    let patience = patience(options.wait);
    let report = project.enter_deploy(Entrance::RollBack, patience, &asked, &context.teller)?;
    if report.finished.ending != Some(Ending::RolledBack) {
        return Ok(finished(&report, options));
    }
    // It was asked for, so it is no failure.
    human = match options.markdown {
        true => shown::markdown(&report.record),
        false => shown::taken_back(&report.record),
    };
    Ok(Report::new(Outcome::Done, json!({ "deploy": report.record }), human))
}
