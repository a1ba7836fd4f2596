//! Findings that do not refuse a run are said before it begins.

use crate::{
    event::{Event, Observer},
    plan::{DatabasePlan, Severity},
};

/// Says the warnings about what would run; refusals are said by the command that refuses.
pub(super) fn announce(plans: &[DatabasePlan], observer: &dyn Observer) {
    for plan in plans.iter().filter(|plan| plan.acts()) {
        let warnings = plan.findings.iter().filter(|found| found.severity == Severity::Warning);
        for finding in warnings {
            let place = match (&finding.place, &finding.migration) {
                (Some(place), _) => format!("{place}: "),
                (None, Some(migration)) => format!("{migration}: "),
                (None, None) => String::new(),
            };
            let database = plan.database.display();
            let text = format!("[{}] {database}: {place}{}", finding.code, finding.message);
            observer.event(Event::Warning { text });
        }
    }
}
