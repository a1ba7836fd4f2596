//! A deploy in words: a line for each phase, and a last one that says where things stand.

use super::text::{self, BAD, FAINT, GOOD, NOTICE, styled};
use piton::{
    Error,
    deploy::{DataState, Ending, Phase, Record, Step, StepResult, Work},
    project::DeployOutline,
};

/// One line of a phase, as it is told when it ends.
pub fn line(phase: &str, result: &str, milliseconds: u64, detail: &str) -> String {
    let style = if result == "done" { GOOD } else { BAD };
    let (word, time) = (styled(style, &format!("{result:<6}")), text::duration(milliseconds));
    let time = styled(FAINT, &format!("{time:>8}"));
    format!("{phase:<13} {word} {time}  {detail}").trim_end().to_string()
}

/// What a deploy would go through.
pub fn outline(outline: &DeployOutline) -> String {
    let phases: Vec<&str> = outline.phases.iter().map(|phase| phase.word()).collect();
    let service = outline.service.as_deref().unwrap_or("none is managed");
    let probes = match outline.probes.is_empty() {
        true => "none".to_string(),
        false => outline.probes.join(", "),
    };
    format!("phases:  {}\nservice: {service}\nprobes:  {probes}\n", phases.join(", "))
}

/// The lines of all phases.
pub fn phases(record: &Record) -> String {
    let mut human = format!(
        "deploy {} of {}{}\n",
        styled(text::STRONG, record.id.as_str()),
        text::ago(record.started, super::text::now()),
        record.release.as_ref().map_or_else(String::new, |it| format!(", release {it}")),
    );
    for step in &record.steps {
        human.push_str(&told(step));
        human.push('\n');
    }
    human
}

fn told(step: &Step) -> String {
    match (step.result, step.milliseconds) {
        (Some(result), Some(milliseconds)) => {
            line(step.phase.word(), result_word(result), milliseconds, &step.detail)
        }
        _ => format!("{:<13} {}", step.phase.word(), styled(NOTICE, "not ended")),
    }
}

fn result_word(result: StepResult) -> &'static str {
    match result {
        StepResult::Done => "done",
        StepResult::Failed => "failed",
    }
}

/// Where things stand, and what to type next.
pub fn closing(record: &Record, error: Option<&Error>) -> String {
    let mut human = String::new();
    if let Some(failure) = &record.failure {
        let message = format!("{}: {}", failure.phase, failure.message);
        human.push_str(&text::problem(&message, failure.hint.as_deref()));
    }
    if let Some(error) = error.filter(|error| !is_said(record, error)) {
        human.push_str(&text::failure(error));
    }
    let (style, word, rest) = sentence(record);
    human.push_str(&format!("{}: {rest}\n", styled(style, word)));
    human
}

/// Whether an error says what the failure says. Of an unhealthy service only the time differs.
fn is_said(record: &Record, error: &Error) -> bool {
    let Some(failure) = &record.failure else { return false };
    let message = error.to_string();
    let unhealthy = |message: &str| {
        let (verdict, reasons) = message.split_once(": ")?;
        verdict.starts_with("the service is not healthy").then(|| reasons.to_string())
    };
    let before = unhealthy(&failure.message);
    failure.message == message || (before.is_some() && before == unhealthy(&message))
}

/// Where things stand after a deploy was taken back by a person.
pub fn taken_back(record: &Record) -> String {
    let mut human = format!("{}: {}\n", styled(GOOD, "taken back"), back(record));
    if let Some(id) = &record.failed_state {
        human.push_str(&format!("  the state before it is backup {id}\n"));
    }
    human + &text::next("piton deploy, once the release is mended")
}

fn sentence(record: &Record) -> (anstyle::Style, &'static str, String) {
    let down = record.service.as_ref().and_then(|_| record.downtime_milliseconds());
    let down = down.map_or_else(String::new, |time| format!(", down for {}", text::duration(time)));
    let log = record.log.display();
    match record.ending {
        Some(Ending::Deployed) => {
            let ran = match record.ran.len() {
                0 => "nothing was pending".to_string(),
                count => text::count(count, "migration", "migrations"),
            };
            let rest = format!("{ran}{down}. To go back: piton deploy --rollback");
            (GOOD, "deployed", rest)
        }
        Some(Ending::NothingToDo) => {
            (GOOD, "nothing to do", "nothing is pending, and no restart is needed".into())
        }
        Some(Ending::Refused) => (BAD, "refused", untouched(record)),
        Some(Ending::Interrupted) => (BAD, "interrupted", untouched(record)),
        Some(Ending::RolledBack) if record.asked_back => {
            (GOOD, "taken back", format!("{}{down}. The log: {log}", back(record)))
        }
        Some(Ending::RolledBack) => {
            (BAD, "rolled back", format!("{}{down}. The log: {log}", back(record)))
        }
        Some(Ending::RolledBackUnhealthy) => (
            BAD,
            "rolled back, NOT healthy",
            format!(
                "{}; see to the service, then: piton deploy --resume. The log: {log}",
                back(record)
            ),
        ),
        Some(Ending::RollbackFailed) => (
            BAD,
            "rollback FAILED",
            format!(
                "the old state is not back; it is backup {}. Put right what is said above, then: \
                 piton deploy --resume. The log: {log}",
                record.final_backup.as_ref().map_or("none".into(), ToString::to_string)
            ),
        ),
        None if record.phase == Phase::Archive => (
            NOTICE,
            "not finished",
            format!(
                "the new release runs and is healthy, but its rollback point has no archive yet. \
                 Where no piton works on it any more: piton deploy --resume makes it, --abort goes \
                 back. The log: {log}"
            ),
        ),
        None => (
            NOTICE,
            "not finished",
            format!(
                "it is at {}. Where no piton works on it any more: piton deploy --resume goes on, \
                 --abort goes back",
                record.phase
            ),
        ),
    }
}

/// What is true of every deploy that ended before its stop.
fn untouched(record: &Record) -> String {
    match &record.service {
        Some(service) => format!("no migration ran, and {service} was not stopped"),
        None => "no migration ran".into(),
    }
}

/// What a rollback has done, and nothing that it has not looked at.
fn back(record: &Record) -> String {
    let mut parts = vec![match (record.work, record.data, &record.final_backup) {
        (Work::Migrate, DataState::PutBack, Some(backup)) => {
            format!("the data is restored from {backup}")
        }
        (Work::Migrate, DataState::PutBack, None) => "there was no data before".into(),
        (Work::Migrate, ..) => "no migration was kept".into(),
        _ => "no migration ran".into(),
    }];
    if record.release != record.previous_release {
        parts.push(match &record.previous_release {
            Some(previous) => format!("release {previous} is current again"),
            None => "no release is current, as there was none before".into(),
        });
    }
    if let (Some(service), Some(Ending::RolledBack)) = (&record.service, record.ending) {
        parts.push(format!("{service} runs again"));
    }
    parts.join(", ")
}

/// The report as Markdown, for a chat or a CI job.
pub fn markdown(record: &Record) -> String {
    let (_, word, rest) = sentence(record);
    let release = record.release.as_ref().map_or_else(String::new, |it| format!(" of `{it}`"));
    let mut out = format!("### Deploy{release}: {word}\n\n{rest}\n\n");
    if let Some(failure) = &record.failure {
        out.push_str(&format!("**{}**: {}\n\n", failure.phase, cell(&failure.message)));
    }
    out.push_str("| phase | result | time | |\n|---|---|---:|---|\n");
    for step in &record.steps {
        let time = step.milliseconds.map_or_else(String::new, text::duration);
        let result = step.result.map_or("not ended", result_word);
        out.push_str(&format!("| {} | {result} | {time} | {} |\n", step.phase, cell(&step.detail)));
    }
    for title in &record.ran {
        out.push_str(&format!("\n- `{}`", cell(title)));
    }
    if !record.ran.is_empty() {
        out.push('\n');
    }
    out
}

/// Text that cannot break a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
