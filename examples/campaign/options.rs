//! Arguments.

use std::path::PathBuf;

pub const USAGE: &str = "\
usage: campaign [CAMPAIGN…] [OPTION…]

campaigns, all of them where none is named:
  kill      killed before every system call, and killed again while it recovers
  cut       the power fails at every change of the disk: a model, ext4, XFS
  errors    the n-th call of each kind fails
  full      the disk fills up in the middle, to a multiple of 64 KiB
  service   a process holds databases open and writes
  archives  bytes flipped, cut short, and rewritten archives
  mutants   with each sync, rename, lock and fold left out, one of these finds it

options:
  --short        some hundred trials, without the mutants, in about a minute
  --trials N     how many trials of each campaign
  --seed S       another choice of random trials
  --resume FILE  go on where the file says, and note the progress in it
  --only NAME    only the row of the table that is called so
  --trial N      only this trial, to repeat a violation
  --minutes M    stop after so many minutes
  --piton FILE   use this binary instead of building one
  --mutants FILE use this one, with the feature `faults`, for the mutants
";

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub campaigns: Vec<String>,
    pub length: Length,
    pub trials: Option<u32>,
    pub seed: u64,
    pub resume: Option<PathBuf>,
    pub only: Option<String>,
    pub trial: Option<u32>,
    pub minutes: Option<u64>,
    pub piton: Option<PathBuf>,
    pub mutants: Option<PathBuf>,
}

/// How many trials there are where no number is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    #[default]
    Long,
    Short,
}

impl Options {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
            match word.as_str() {
                "--short" => options.length = Length::Short,
                "--trials" => options.trials = Some(number(&value()?)?),
                "--seed" => options.seed = number(&value()?)?,
                "--resume" => options.resume = Some(value()?.into()),
                "--only" => options.only = Some(value()?),
                "--trial" => options.trial = Some(number(&value()?)?),
                "--minutes" => options.minutes = Some(number(&value()?)?),
                "--piton" => options.piton = Some(value()?.into()),
                "--mutants" => options.mutants = Some(value()?.into()),
                name if crate::CAMPAIGNS.contains(&name) => options.campaigns.push(word),
                _ => return Err(format!("`{word}` is not understood")),
            }
        }
        if options.campaigns.is_empty() {
            options.campaigns = crate::CAMPAIGNS.map(String::from).to_vec();
            // Each mutant is a campaign of its own.
            options.campaigns.retain(|it| options.length == Length::Long || it != "mutants");
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}
