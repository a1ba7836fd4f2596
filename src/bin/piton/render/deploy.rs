//! A deploy in words: a line for each phase, and a last one that says where things stand.

use super::text::{self, BAD, FAINT, GOOD, NOTICE, styled};
use piton::{
    Error,
    deploy::{Ending, Phase, Record, Step, StepResult, Work},
};

/// One line of a phase, as it is told when it ends.
pub fn line(phase: &str, result: &str, milliseconds: u64, detail: &str) -> String {
    let style = if result == "done" { GOOD } else { BAD };
    let (word, time) = (styled(style, &format!("{result:<6}")), text::duration(milliseconds));
    let time = styled(FAINT, &format!("{time:>8}"));
    format!("{phase:<13} {word} {time}  {detail}").trim_end().to_string()
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
    let is_new = |error: &&Error| {
        record.failure.as_ref().is_none_or(|failure| failure.message != error.to_string())
    };
    if let Some(error) = error.filter(is_new) {
        human.push_str(&text::failure(error));
    }
    let (style, word, rest) = sentence(record);
    human.push_str(&format!("{}: {rest}\n", styled(style, word)));
    human
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
    let down = record
        .downtime_milliseconds()
        .map_or_else(String::new, |time| format!(", down for {}", text::duration(time)));
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
        Some(Ending::Refused) => {
            (BAD, "refused", "nothing was touched, the service runs as before".into())
        }
        Some(Ending::Interrupted) => {
            (BAD, "interrupted", "nothing was touched, the service runs as before".into())
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

fn back(record: &Record) -> &'static str {
    match (record.work, &record.failed_state) {
        (Work::Migrate, Some(_)) => "data, release and service are as before",
        (Work::Migrate, None) => "the data was not changed, and the service runs as before",
        _ => "the service runs as before, the data was not touched",
    }
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
