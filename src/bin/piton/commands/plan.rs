//! `plan`: what `up` would do.

use super::{
    Context,
    status::{cut_off, overall},
};
use crate::{
    args::Look,
    render::{Report, plan as shown, text},
};
use anyhow::Result;
use piton::{
    plan::DatabasePlan,
    project::{InterruptedRun, Outcome, Selection},
};
use serde_json::json;

/// Plans, and changes nothing.
pub fn run(context: &Context, look: &Look) -> Result<Report> {
    let mut report = of_selection(context, &super::looked_at(look)?, "piton up")?;
    if !look.exit_code {
        report.outcome = Outcome::Done;
    }
    Ok(report)
}

/// The plan of a selection, and the command that carries it out; the outcome is what it comes to.
pub fn of_selection(context: &Context, selection: &Selection, command: &str) -> Result<Report> {
    let plans = context.project.plan(selection, &context.teller)?;
    let outcome = overall(&plans);
    let details = |plan: &DatabasePlan| shown::steps(plan) + &shown::findings(plan);
    let mut human = shown::overview(&plans, &details);
    let interrupted = context.project.interrupted_run();
    human.push_str(&interrupted.as_ref().map(cut_off).unwrap_or_default());
    human.push_str(&match outcome {
        Outcome::Pending => {
            let statements: usize = plans.iter().map(|plan| plan.actions().count()).sum();
            let what = text::count(statements, "migration", "migrations");
            text::next(&format!("{command} carries this out ({what}, after a backup)"))
        }
        Outcome::Problem(_) => "nothing would be done as long as something is refused\n".into(),
        _ => format!("{}\n", text::styled(text::GOOD, "nothing to do")),
    });
    Ok(Report::lazily(context.screen, outcome, || fields(&plans, interrupted.as_ref()), human))
}

/// The plans in JSON.
fn fields(plans: &[DatabasePlan], interrupted: Option<&InterruptedRun>) -> serde_json::Value {
    let databases: Vec<_> = plans.iter().map(shown::to_json).collect();
    json!({ "databases": databases, "interrupted": interrupted })
}
