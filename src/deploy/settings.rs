//! The keys of `[deploy]` in `piton.toml`, as they stand there.

use super::{health, service};
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// What `[deploy]` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The folder of releases; none are kept where it is not set.
    pub releases: Option<PathBuf>,
    /// The link to the current release.
    pub current: Option<PathBuf>,
    /// How many releases are kept.
    pub keep_releases: Option<usize>,
    /// The folder of hooks.
    pub hooks: Option<PathBuf>,
    /// The time limit of a hook.
    pub hook_timeout: Option<Spanned<String>>,
    /// Whether the plan is rehearsed on a copy first.
    pub rehearse: Option<bool>,
    /// Whether the service is restarted where nothing is pending.
    pub restart: Option<Restart>,
    /// What keeps the service running.
    #[serde(default)]
    pub service: service::Settings,
    /// How the service proves that it is well.
    #[serde(default)]
    pub health: health::Settings,
}

/// What a probe that fails on the service before a deploy means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailingProbes {
    /// The deploy is refused.
    #[default]
    Refuse,
    /// They are not asked: what is deployed makes them pass.
    Ignore,
}

/// Whether the service is restarted where nothing is pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It is: the code may be new.
    #[default]
    Always,
    /// Only where another release becomes current.
    WhenNeeded,
}
