//! Which scripts of a rehearsal can be kept away from the live data, and how.

use serde::Serialize;

/// Programs that act outside of the namespace of their caller: by a daemon, or on another machine. A
/// script is left out if it has such a word anywhere: to run it by mistake could change live data.
const LEAVING: [&str; 16] = [
    "busctl",
    "crictl",
    "ctr",
    "docker",
    "docker-compose",
    "kubectl",
    "machinectl",
    "nerdctl",
    "nsenter",
    "podman",
    "rsync",
    "scp",
    "sftp",
    "ssh",
    "systemctl",
    "systemd-run",
];

/// Programs that hand their work to a daemon and are English words too: they count only where a shell runs
/// them, with what they take.
const SCHEDULING: [&str; 2] = ["at", "batch"];

/// After these words of a shell, a command follows.
const BEFORE_A_COMMAND: [&str; 7] = ["do", "else", "exec", "nohup", "sudo", "then", "time"];

/// How the time of `at` can start, apart from a number (its manual page, `at(1)`).
const TIMES: [&str; 7] = ["midnight", "next", "noon", "now", "teatime", "today", "tomorrow"];

/// By what a script shows that it works on the data directory that it is given.
const NAMES: [&str; 4] = ["PITON_DATA_DIR", "PITON_DATABASE", "{data}", "{database}"];

/// What a rehearsal does about a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Reach {
    /// It runs where the copy is in the place of the data directory.
    Enclosed,
    /// It runs, since it names the data directory that it is given.
    Named,
    /// It does not run.
    LeftOut {
        /// Why not.
        reason: String,
    },
}

/// Decides about a script by its text; `refusal` says why there is no namespace, if there is none.
#[must_use]
pub fn reach(text: &str, refusal: Option<&str>) -> Reach {
    if NAMES.iter().any(|name| text.contains(name)) {
        return if refusal.is_none() { Reach::Enclosed } else { Reach::Named };
    }
    if let Some(program) = leaving(text) {
        let reason = format!(
            "it calls `{program}`, which acts outside of this process, and does not name the data directory \
             (`$PITON_DATA_DIR`, `$PITON_DATABASE`)"
        );
        return Reach::LeftOut { reason };
    }
    match refusal {
        None => Reach::Enclosed,
        Some(refusal) => Reach::LeftOut {
            reason: format!(
                "it does not name the data directory (`$PITON_DATA_DIR`, `$PITON_DATABASE`), and this \
                 system lets piton hide the live data from it in no other way ({refusal})"
            ),
        },
    }
}

/// The first program outside of comments that leaves.
fn leaving(text: &str) -> Option<&'static str> {
    let is_comment = |line: &&str| {
        let line = line.trim_start();
        line.starts_with('#') || line.starts_with("//") || line.starts_with("-- ")
    };
    let mut lines = text.lines().filter(|line| !is_comment(line));
    lines.find_map(|line| {
        let mut words = line.split(|letter| !is_part(letter));
        let named = words.find_map(|word| LEAVING.into_iter().find(|program| *program == word));
        named.or_else(|| SCHEDULING.into_iter().find(|program| schedules(line, program)))
    })
}

fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || "-_.".contains(letter)
}

/// Whether a shell runs this program in a line.
fn schedules(line: &str, program: &str) -> bool {
    line.match_indices(program).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + program.len()..]);
        is_command_position(before) && takes(program, after)
    })
}

/// Whether what comes after this part of a line is a command, perhaps with its folder before it.
fn is_command_position(before: &str) -> bool {
    let folder = |letter: char| letter == '/' || is_part(letter);
    let before = if before.ends_with('/') { before.trim_end_matches(folder) } else { before };
    if before.ends_with(is_part) {
        return false;
    }
    let before = before.trim_end();
    let last = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    before.is_empty()
        || before.ends_with(['|', '&', ';', '(', '{', '!', '`'])
        || BEFORE_A_COMMAND.contains(&last)
}

/// Whether the program takes what comes after it.
fn takes(program: &str, after: &str) -> bool {
    if after.starts_with(|letter: char| !letter.is_whitespace() && !"<;&|)".contains(letter)) {
        return false;
    }
    let after = after.trim_start();
    if program == "batch" {
        return after.is_empty() || after.starts_with(['-', '<', ';', '&', '|', ')']);
    }
    let next = after.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
    after.starts_with(['-', '$', '"', '\''])
        || after.starts_with(|letter: char| letter.is_ascii_digit())
        || TIMES.contains(&next.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::{Reach, reach};

    #[test]
    fn a_script_is_enclosed_or_names_the_data_or_is_left_out() {
        let how = |text: &str, refusal| match reach(text, refusal) {
            Reach::Enclosed => "enclosed",
            Reach::Named => "named",
            Reach::LeftOut { .. } => "left out",
        };
        for (text, with, without) in [
            ("#!/bin/sh\nsqlite3 data/app.db 'DELETE FROM t'", "enclosed", "left out"),
            ("#!/bin/sh\nsqlite3 \"$PITON_DATABASE\" 'DELETE FROM t'", "enclosed", "named"),
            ("import os\nos.environ['PITON_DATA_DIR']", "enclosed", "named"),
            ("#!/bin/sh\ndocker compose exec app ./migrate", "left out", "left out"),
            ("#!/bin/sh\n/usr/bin/ssh db ./migrate", "left out", "left out"),
            ("subprocess.run(['systemctl', 'restart', 'x'])", "left out", "left out"),
            ("#!/bin/sh\ndocker run -v $PITON_DATA_DIR:/data app", "enclosed", "named"),
            ("#!/bin/sh\n# docker would do it as well\ntrue", "enclosed", "left out"),
            ("#!/bin/sh\necho dockerfile my-docker.txt sshd", "enclosed", "left out"),
        ] {
            assert_eq!(how(text, None), with, "{text}");
            assert_eq!(how(text, Some("no")), without, "{text}");
        }
    }

    #[test]
    fn english_words_are_programs_only_where_a_shell_runs_them() {
        for (line, left_out) in [
            ("echo ./move.sh | at now + 1 minute", true),
            ("at -f move.sh 23:00", true),
            ("/usr/bin/at midnight <<END", true),
            ("true && at \"$when\" < job", true),
            ("if true; then at noon < job; fi", true),
            ("x=$(at now < job)", true),
            ("sudo at 04:00 < job", true),
            ("batch < job", true),
            ("cat job | batch", true),
            ("cd / ; batch -f job", true),
            ("echo 'looks at the data, at least twice'", false),
            ("print(\"at 5 rows\")", false),
            ("echo \"stopped at 17 rows\"", false),
            ("at = time.time()", false),
            ("at=5", false),
            ("batch = rows[at:at + 100]", false),
            ("for batch in batches:", false),
            ("batch(100)", false),
            ("SELECT id, at FROM visits", false),
            ("at the end, every row has one", false),
            ("sqlite3 data/app.db 'UPDATE t SET at = 1, batch = 2'", false),
            ("# at now", false),
        ] {
            let text = format!("#!/bin/sh\n{line}\n");
            let is_left_out = matches!(reach(&text, None), Reach::LeftOut { .. });
            assert_eq!(is_left_out, left_out, "{line}");
        }
    }
}
