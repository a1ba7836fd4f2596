//! Which scripts of a rehearsal can be kept away from the live data, and how.

use serde::Serialize;

/// Programs that act outside of the namespace of their caller: by a daemon, or on another machine.
const LEAVING: [&str; 18] = [
    "at",
    "batch",
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

/// The first word outside of comments that is such a program.
fn leaving(text: &str) -> Option<&'static str> {
    let is_comment = |line: &&str| {
        let line = line.trim_start();
        line.starts_with('#') || line.starts_with("//") || line.starts_with("-- ")
    };
    let lines = text.lines().filter(|line| !is_comment(line));
    let is_part = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    let mut words = lines.flat_map(|line| line.split(move |letter| !is_part(letter)));
    words.find_map(|word| LEAVING.into_iter().find(|program| *program == word))
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
}
