//! `check`: the findings about the files of a history, with or without a database.
//!
//! With a database, what is pending on it is looked at as `plan` does, with live numbers; what ran
//! already is still reported, but refuses nothing. Without one, all files are looked at.

use super::{
    analysis::of_files,
    finding::{Finding, Severity},
    model::{Assessment, State},
    order::units,
    planner::{Request, plan_database},
    policy,
    replay::replay,
};
use crate::{
    Result, database,
    history::Version,
    schema::{Introspector, Schema},
};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Checks a history; `live` is its first database, where there is one.
///
/// # Errors
/// SQLite's, with the database's path; what is wrong with a file is a finding.
pub fn check(request: &Request<'_>, live: Option<&Connection>) -> Result<Vec<Finding>> {
    let rules = request.rules.cloned().unwrap_or_default();
    let mut found = Vec::new();
    let mut standings = BTreeMap::new();
    let mut schema = Schema::default();
    if let Some(connection) = live {
        let failed = |error| database::failed("read the schema of", request.path)(error);
        schema = Introspector::default().read(connection).map_err(failed)?;
        let plan = plan_database(request, live)?;
        standings = plan.assessments.iter().map(standing).collect();
        found.extend(plan.findings.into_iter().filter(policy::is_about_files));
    }
    let units = units(request.migrations, &[])?;
    let timeline = replay(&units, &schema)?;
    let weight = |unit: usize| match standings.get(&units[unit].version) {
        Some(Standing::Pending) => None,
        Some(Standing::Ran) => Some(Severity::Warning),
        Some(Standing::Unclear) | None => Some(Severity::Denied),
    };
    for finding in of_files(&units, &timeline, weight, &rules) {
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(found)
}

/// What a database says of a file.
#[derive(Clone, Copy)]
enum Standing {
    /// It would run: the plan has looked at it.
    Pending,
    /// It is done.
    Ran,
    /// The plan is refused before it comes to it.
    Unclear,
}

fn standing(found: &Assessment) -> (Version, Standing) {
    let standing = match found.state {
        State::Applied | State::Recorded | State::Divergent | State::Renumbered | State::Drift => {
            Standing::Ran
        }
        _ if found.acts() => Standing::Pending,
        _ => Standing::Unclear,
    };
    (found.version.clone(), standing)
}
