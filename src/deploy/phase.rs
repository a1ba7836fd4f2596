//! The phases of a deploy and their order: pure, so that what follows what can be read in one table.
//!
//! Forward: preflight → backup → rehearsal → stop → fence → final-backup → migrate → switch → start →
//! health → archive. Where one of those from `stop` to `health` fails, the way back: stop-again →
//! put-back → switch-back → start-again → health-again.

use serde::{Deserialize, Serialize};

/// What a deploy is at; each can be entered again after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Configuration, service, rights, space and plan are examined; nothing is changed.
    Preflight,
    /// A backup beside the running service.
    Backup,
    /// The plan is carried out on a copy unpacked from that backup.
    Rehearsal,
    /// The service is stopped.
    Stop,
    /// Nothing may start it, and no process holds a database.
    Fence,
    /// The rollback point, taken while nothing can write.
    FinalBackup,
    /// The pending migrations run.
    Migrate,
    /// The link to the current release is switched.
    Switch,
    /// The service is started.
    Start,
    /// The service proves that it is well.
    Health,
    /// The rollback point becomes a verified archive, beside the running service.
    Archive,
    /// On the way back: the failed service is stopped.
    StopAgain,
    /// On the way back: the failed state is backed up, and the rollback point restored.
    PutBack,
    /// On the way back: the link is switched back, and the release's own rollback hook runs.
    SwitchBack,
    /// On the way back: the service is started as it was.
    StartAgain,
    /// On the way back: the service proves that it is well again.
    HealthAgain,
}

/// What a deploy has to do, found in the preflight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Migrations are pending: all of it.
    #[default]
    Migrate,
    /// Nothing is pending: the service is restarted, on another release or the same.
    Restart,
    /// Nothing is pending, and a restart was not asked for.
    Nothing,
}

/// What is known of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataState {
    /// As before the deploy.
    #[default]
    AsBefore,
    /// Migrations began, and may have changed it.
    Changed,
    /// The rollback point was put back.
    PutBack,
}

/// What decides which phase follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// What there is to do.
    pub work: Work,
    /// Whether the plan is rehearsed.
    pub rehearsal: Rehearsal,
    /// What is known of the data.
    pub data: DataState,
}

/// How far the change has come, which decides what a failure costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The service runs as before, nothing has been touched.
    Untouched,
    /// The service is being taken down or is down; the data is as before.
    Stopped,
    /// The data may have changed.
    Changed,
    /// On the way back.
    Back,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Preflight,
        Self::Backup,
        Self::Rehearsal,
        Self::Stop,
        Self::Fence,
        Self::FinalBackup,
        Self::Migrate,
        Self::Switch,
        Self::Start,
        Self::Health,
        Self::Archive,
        Self::StopAgain,
        Self::PutBack,
        Self::SwitchBack,
        Self::StartAgain,
        Self::HealthAgain,
    ];

    /// The word in JSON, in the log and in the names of hooks.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Backup => "backup",
            Self::Rehearsal => "rehearsal",
            Self::Stop => "stop",
            Self::Fence => "fence",
            Self::FinalBackup => "final-backup",
            Self::Migrate => "migrate",
            Self::Switch => "switch",
            Self::Start => "start",
            Self::Health => "health",
            Self::Archive => "archive",
            Self::StopAgain => "stop-again",
            Self::PutBack => "put-back",
            Self::SwitchBack => "switch-back",
            Self::StartAgain => "start-again",
            Self::HealthAgain => "health-again",
        }
    }

    /// What follows when a phase went well; nothing after the last one.
    #[must_use]
    pub fn next(self, course: Course) -> Option<Self> {
        let Course { work, rehearsal, data } = course;
        Some(match self {
            Self::Preflight if work == Work::Nothing => return None,
            Self::Preflight => Self::Backup,
            // Nothing is pending: a restart needs no fence and no rollback point, which would only
            // lengthen it.
            Self::Backup if work != Work::Migrate => Self::Switch,
            Self::Backup if rehearsal == Rehearsal::Do => Self::Rehearsal,
            Self::Backup | Self::Rehearsal => Self::Stop,
            Self::Stop => Self::Fence,
            Self::Fence => Self::FinalBackup,
            Self::FinalBackup => Self::Migrate,
            Self::Migrate => Self::Switch,
            Self::Switch => Self::Start,
            Self::Start => Self::Health,
            Self::Health if work == Work::Migrate => Self::Archive,
            Self::StopAgain if data == DataState::Changed => Self::PutBack,
            Self::StopAgain | Self::PutBack => Self::SwitchBack,
            Self::SwitchBack => Self::StartAgain,
            Self::StartAgain => Self::HealthAgain,
            Self::Health | Self::Archive | Self::HealthAgain => return None,
        })
    }

    /// Where the way back begins for a failure in this phase: no earlier than it must.
    #[must_use]
    pub fn turn_back(self, data: DataState) -> Self {
        match self {
            Self::Start | Self::Health | Self::Archive => Self::StopAgain,
            // The service is down already.
            Self::Migrate | Self::Switch if data == DataState::Changed => Self::PutBack,
            Self::Switch => Self::SwitchBack,
            _ => Self::StartAgain,
        }
    }

    /// How far the change has come once this phase was entered.
    #[must_use]
    pub const fn reach(self, work: Work) -> Reach {
        match self {
            Self::Preflight | Self::Backup | Self::Rehearsal => Reach::Untouched,
            Self::Stop | Self::Fence | Self::FinalBackup => Reach::Stopped,
            Self::Migrate | Self::Switch | Self::Start | Self::Health | Self::Archive => match work
            {
                Work::Migrate => Reach::Changed,
                Work::Restart | Work::Nothing => Reach::Stopped,
            },
            _ => Reach::Back,
        }
    }

    /// Whether the service must not run in this phase, whoever wants to start it.
    #[must_use]
    pub const fn is_fenced(self, work: Work) -> bool {
        match self {
            Self::Fence | Self::FinalBackup | Self::Migrate => true,
            Self::Switch => matches!(work, Work::Migrate),
            Self::PutBack | Self::SwitchBack => true,
            _ => false,
        }
    }
}

/// Whether the plan is rehearsed on a copy first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rehearsal {
    /// It is.
    #[default]
    Do,
    /// It is left out.
    Skip,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, DataState, Phase, Reach, Rehearsal, Work};

    fn way(from: Phase, course: Course) -> String {
        let mut words = vec![from.word()];
        let mut phase = from;
        while let Some(next) = phase.next(course) {
            assert!(next > phase, "{next} follows {phase}");
            words.push(next.word());
            phase = next;
        }
        words.join(" ")
    }

    #[test]
    fn the_ways_through_a_deploy() {
        let course = Course::default();
        assert_eq!(
            way(Phase::Preflight, course),
            "preflight backup rehearsal stop fence final-backup migrate switch start health archive"
        );
        assert_eq!(
            way(Phase::Preflight, Course { rehearsal: Rehearsal::Skip, ..course }),
            "preflight backup stop fence final-backup migrate switch start health archive"
        );
        let restart = Course { work: Work::Restart, ..course };
        assert_eq!(way(Phase::Preflight, restart), "preflight backup switch start health");
        let nothing = Course { work: Work::Nothing, ..course };
        assert_eq!(way(Phase::Preflight, nothing), "preflight");
    }

    #[test]
    fn the_ways_back() {
        let changed = Course { data: DataState::Changed, ..Course::default() };
        let back = |phase: Phase, course: Course| way(phase.turn_back(course.data), course);
        let whole = "stop-again put-back switch-back start-again health-again";
        assert_eq!(back(Phase::Health, changed), whole);
        assert_eq!(back(Phase::Start, changed), whole);
        assert_eq!(back(Phase::Archive, changed), whole);
        let down = "put-back switch-back start-again health-again";
        assert_eq!(back(Phase::Switch, changed), down);
        assert_eq!(back(Phase::Migrate, changed), down);
        let unchanged = Course::default();
        for phase in [Phase::Stop, Phase::Fence, Phase::FinalBackup, Phase::Migrate] {
            assert_eq!(back(phase, unchanged), "start-again health-again", "{phase}");
        }
        let restart = Course { work: Work::Restart, ..unchanged };
        assert_eq!(back(Phase::Health, restart), "stop-again switch-back start-again health-again");
    }

    #[test]
    fn nothing_is_put_back_that_was_not_changed() {
        for phase in Phase::ALL {
            let changed = phase.reach(Work::Migrate) == Reach::Changed;
            let behind = (Phase::Migrate..=Phase::Archive).contains(&phase);
            assert_eq!(changed, behind, "{phase}");
            assert_ne!(phase.reach(Work::Restart), Reach::Changed, "{phase}");
        }
    }

    #[test]
    fn words_are_those_of_json() {
        for phase in Phase::ALL {
            let json = serde_json::to_string(&phase).unwrap();
            assert_eq!(json, format!("\"{}\"", phase.word()));
        }
    }
}
