//! What `systemctl show` prints about units, and what it means. Pure text.

use super::super::State;
use std::collections::HashMap;

/// The properties that are asked for.
pub(super) const PROPERTIES: &str = "Id,LoadState,LoadError,ActiveState,SubState,Result,Type,\
    RemainAfterExit,NRestarts,ExecMainCode,ExecMainStatus,InvocationID,ConditionResult,\
    ConditionTimestampMonotonic,NeedDaemonReload,FragmentPath,DropInPaths,Triggers,TriggeredBy,\
    RequiredBy,BoundBy,ConsistsOf";

/// Kinds of units that are stopped and started beside the configured ones. A target is not: with it
/// would go all that it wants.
const KINDS: [&str; 4] = [".service", ".socket", ".timer", ".path"];

/// Kinds that start other units.
const TRIGGERS: [&str; 3] = [".socket", ".timer", ".path"];

/// Whether a unit starts other units by itself.
pub(super) fn is_trigger(unit: &str) -> bool {
    TRIGGERS.iter().any(|kind| unit.ends_with(kind))
}

/// The properties of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record(HashMap<String, String>);

/// One record per unit, in the order in which they were asked for.
pub(super) fn parse(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut record = Record::default();
    for line in text.lines() {
        match line.split_once('=') {
            Some((name, value)) => {
                record.0.insert(name.into(), value.into());
            }
            None if line.is_empty() && !record.0.is_empty() => {
                records.push(std::mem::take(&mut record));
            }
            None => {}
        }
    }
    if !record.0.is_empty() {
        records.push(record);
    }
    records
}

impl Record {
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The name under which systemd knows it, where the configuration has an alias.
    pub(super) fn id(&self) -> &str {
        self.get("Id")
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.get("LoadState") == "loaded"
    }

    /// Whether it stands now, as far as a start could bring it back.
    pub(super) fn is_active(&self) -> bool {
        ["active", "reloading", "activating", "refreshing"].contains(&self.get("ActiveState"))
    }

    pub(super) fn needs_reload(&self) -> bool {
        self.get("NeedDaemonReload") == "yes"
    }

    /// A service that runs to its end and is over then.
    pub(super) fn is_job(&self) -> bool {
        self.get("Type") == "oneshot" && self.get("RemainAfterExit") != "yes"
    }

    /// The files that make it, the unit file first.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let drop_ins = self.get("DropInPaths").split_whitespace();
        Some(self.get("FragmentPath")).filter(|path| !path.is_empty()).into_iter().chain(drop_ins)
    }

    /// Units that start it or that it starts by themselves. systemd knows them only while they are
    /// loaded, so those that bear the name of a service are always among them; there may be none.
    pub(super) fn triggers(&self) -> Vec<String> {
        let mut names = self.names(&["TriggeredBy", "Triggers"]);
        if let Some(name) = self.id().strip_suffix(".service") {
            names.extend(TRIGGERS.map(|kind| format!("{name}{kind}")));
        }
        names
    }

    /// Units that systemd stops together with it.
    pub(super) fn dependents(&self) -> Vec<String> {
        self.names(&["RequiredBy", "BoundBy", "ConsistsOf"])
    }

    fn names(&self, properties: &[&str]) -> Vec<String> {
        let words = properties.iter().flat_map(|name| self.get(name).split_whitespace());
        let units = words.filter(|unit| KINDS.iter().any(|kind| unit.ends_with(kind)));
        units.map(ToString::to_string).collect()
    }

    /// One life of it; none where it has not begun any.
    pub(super) fn life(&self) -> Option<String> {
        Some(self.get("InvocationID").to_string()).filter(|id| !id.is_empty())
    }

    pub(super) fn state(&self) -> State {
        match (self.get("ActiveState"), self.get("SubState")) {
            ("active" | "reloading" | "refreshing", _) => State::Running,
            // Before version 254 the second word for a pause before a restart was this one only.
            ("activating", "auto-restart" | "auto-restart-queued") => {
                State::Restarting { reason: self.ending() }
            }
            ("activating", _) => State::Starting,
            ("deactivating", _) => State::Stopping,
            ("failed", _) => State::Failed { reason: self.ending() },
            ("inactive", _) if self.is_held_back() => State::Failed {
                reason: "a condition of its unit file is not met (`ConditionResult=no`)".into(),
            },
            ("inactive", _) => State::Stopped,
            (other, _) => State::Unclear { reason: format!("systemd calls it `{other}`") },
        }
    }

    /// Whether systemd was asked to start it and did not, without calling that an error.
    fn is_held_back(&self) -> bool {
        self.get("ConditionResult") == "no"
            && !["", "0"].contains(&self.get("ConditionTimestampMonotonic"))
    }

    /// How it ended last.
    fn ending(&self) -> String {
        let status = self.get("ExecMainStatus");
        let main = match self.get("ExecMainCode") {
            // CLD_EXITED, CLD_KILLED and CLD_DUMPED of `waitid`.
            "1" => format!("exited with status {status}"),
            "2" | "3" => format!("was killed by signal {status}"),
            _ => "ended".into(),
        };
        match self.get("Result") {
            "" | "success" | "exit-code" | "signal" | "core-dump" => main,
            result => format!("{main} (`{result}`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        parse(text).remove(0)
    }

    #[test]
    fn records_are_told_apart() {
        let text = "Id=a.service\nActiveState=active\nLoadError=\n\nTriggers=\nId=b.timer\n\n";
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].id(), found[0].get("LoadError")), ("a.service", ""));
        assert_eq!((found[1].id(), found[1].get("ActiveState")), ("b.timer", ""));
        let value = "LoadError=org.freedesktop.systemd1.NoSuchUnit \"a=b\"\n";
        assert_eq!(record(value).get("LoadError"), "org.freedesktop.systemd1.NoSuchUnit \"a=b\"");
        assert_eq!(parse(""), []);
    }

    #[test]
    fn states() {
        let failed = |reason: &str| State::Failed { reason: reason.into() };
        let rows = [
            ("ActiveState=active\nSubState=running", State::Running),
            ("ActiveState=active\nSubState=exited", State::Running),
            ("ActiveState=active\nSubState=listening", State::Running),
            ("ActiveState=reloading\nSubState=reload", State::Running),
            ("ActiveState=activating\nSubState=start", State::Starting),
            ("ActiveState=deactivating\nSubState=stop-sigterm", State::Stopping),
            ("ActiveState=inactive\nSubState=dead\nConditionResult=no", State::Stopped),
            (
                "ActiveState=activating\nSubState=auto-restart\nExecMainCode=2\nExecMainStatus=9\nResult=signal",
                State::Restarting { reason: "was killed by signal 9".into() },
            ),
            (
                "ActiveState=failed\nExecMainCode=1\nExecMainStatus=3\nResult=exit-code",
                failed("exited with status 3"),
            ),
            (
                "ActiveState=failed\nExecMainCode=1\nExecMainStatus=3\nResult=start-limit-hit",
                failed("exited with status 3 (`start-limit-hit`)"),
            ),
            ("ActiveState=failed\nExecMainCode=0\nResult=timeout", failed("ended (`timeout`)")),
            (
                "ActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=77",
                failed("a condition of its unit file is not met (`ConditionResult=no`)"),
            ),
            (
                "ActiveState=maintenance",
                State::Unclear { reason: "systemd calls it `maintenance`".into() },
            ),
        ];
        for (text, state) in rows {
            assert_eq!(record(text).state(), state, "{text}");
        }
    }

    #[test]
    fn neighbours() {
        let text = "TriggeredBy=app.socket app.timer\nTriggers=\nRequiredBy=multi-user.target \
            worker.service\nBoundBy=dev-sda.device\nConsistsOf=helper.service\n";
        assert_eq!(record(text).triggers(), ["app.socket", "app.timer"]);
        let text_of_service = format!("Id=a.service\n{text}");
        let found = record(&text_of_service).triggers();
        assert_eq!(found, ["app.socket", "app.timer", "a.socket", "a.timer", "a.path"]);
        assert_eq!(record(text).dependents(), ["worker.service", "helper.service"]);
        let text = "FragmentPath=/etc/a.service\nDropInPaths=/run/b.conf /etc/c.conf\n";
        let found: Vec<String> = record(text).files().map(ToString::to_string).collect();
        assert_eq!(found, ["/etc/a.service", "/run/b.conf", "/etc/c.conf"]);
        assert_eq!(record("FragmentPath=\nDropInPaths=\n").files().count(), 0);
    }
}
