//! Which release this is and how it misbehaves, as its own folder says. It decides nothing else.

use crate::Result;
use std::{env, fs, time::Duration};

/// A release's name and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Release {
    /// Answered with every acknowledged write, so that a log shows which release took it.
    pub name: String,
    pub behaviour: Behaviour,
}

/// What a release does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing.
    Good,
    /// `crash`: ends before it listens.
    CrashAtStart,
    /// `crash-soon:SECONDS`: listens, and ends after a while.
    CrashSoon(Duration),
    /// `broken`: answers everything with 500.
    Broken,
    /// `empty`: answers 200 from a database that it has just made.
    Empty,
    /// `slow:SECONDS`: waits before it listens.
    Slow(Duration),
    /// `hang`: ignores the signal that asks it to stop.
    HangOnStop,
}

impl Release {
    /// The words `NAME [BEHAVIOUR]` of the variable `SERVICE_RELEASE`, else of the file `release` in the
    /// current folder; `unnamed` and good where neither is there.
    pub fn here() -> Result<Self> {
        let text = env::var("SERVICE_RELEASE").or_else(|_| fs::read_to_string("release"));
        let text = text.unwrap_or_else(|_| "unnamed".into());
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or("unnamed").to_string();
        let behaviour = words.next().map_or(Ok(Behaviour::Good), Behaviour::read)?;
        Ok(Self { name, behaviour })
    }
}

impl Behaviour {
    fn read(word: &str) -> Result<Self> {
        let (word, seconds) = word.split_once(':').unwrap_or((word, "2"));
        let time = Duration::try_from_secs_f64(seconds.parse()?)?;
        Ok(match word {
            "good" => Self::Good,
            "crash" => Self::CrashAtStart,
            "crash-soon" => Self::CrashSoon(time),
            "broken" => Self::Broken,
            "empty" => Self::Empty,
            "slow" => Self::Slow(time),
            "hang" => Self::HangOnStop,
            _ => return Err(format!("no behaviour is called `{word}`").into()),
        })
    }
}
