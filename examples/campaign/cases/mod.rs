//! What the mutants are tried on: every scenario, and commands that no other campaign runs.

pub mod copies;
pub mod deploys;
mod files;
mod logs;
mod restores;

use crate::{
    files::copy_folder,
    hunt::Case,
    judge::Judge,
    project::{Ended, Project},
    scenario::Scenario,
    setup::Made,
    state::State,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

type Judged = Result<(), String>;

/// All cases; those that come to most steps first.
pub fn all<'a>(scenarios: &'a [Scenario], piton: &Project, folder: &Path) -> Made<Vec<Case<'a>>> {
    let plain: Vec<Case<'_>> =
        scenarios.iter().map(|it| of_scenario(it, piton, folder, it.name.into(), None)).collect();
    let builder = Builder { piton, folder };
    let mut all = plain;
    all.extend(files::all(&builder)?);
    all.extend(restores::all(&builder, scenarios)?);
    all.extend(copies::all(&builder)?);
    all.extend(deploys::all(&builder)?);
    Ok(all)
}

/// A scenario, perhaps on a file system that has something not.
fn of_scenario<'a>(
    scenario: &'a Scenario,
    piton: &Project,
    folder: &Path,
    name: String,
    fault: Option<&str>,
) -> Case<'a> {
    let mut judge = Judge::new(folder);
    let mut template = Project { folder: scenario.template.folder.clone(), ..piton.clone() };
    if let Some(fault) = fault {
        template.arm(fault);
    }
    Case {
        name,
        template,
        words: scenario.words.clone(),
        settle: |_| Ok(()),
        judge: Box::new(move |place, ended| judge.judge(scenario, place, ended, 0).map(drop)),
    }
}

/// Makes templates, and runs their commands once to learn what they leave.
pub struct Builder<'a> {
    pub piton: &'a Project,
    pub folder: &'a Path,
}

impl Builder<'_> {
    /// An empty project.
    fn template(&self, name: &str) -> Made<Project> {
        let folder = self.folder.join("cases").join(name);
        fs::create_dir_all(&folder)?;
        Ok(self.piton.at(&folder))
    }

    /// A copy of a template as its command leaves it.
    fn whole(&self, template: &Project, words: &str, code: i32) -> Made<Project> {
        let mut place = template.at(&self.folder.join("cases").join("whole"));
        copy_folder(&template.folder, &place.folder)?;
        place.variables.clone_from(&template.variables);
        copies::settle(&place)?;
        place.run(words)?.expect(code, &format!("`{words}`"))?;
        Ok(place)
    }

    fn state(&self, project: &Project) -> State {
        State::read(&project.data(), self.folder)
    }

    fn scratch(&self) -> PathBuf {
        self.folder.into()
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn run(place: &Project, words: &str, code: i32) -> Result<Ended, String> {
    place.run(words).map_err(text)?.expect(code, &format!("`{words}`"))
}

fn require(found: &State, wanted: &State, what: &str) -> Judged {
    match found.difference(wanted) {
        None => Ok(()),
        Some(difference) => Err(format!("{what}: {difference}")),
    }
}

/// A case whose template is fit for any folder.
fn plain<'a>(
    name: impl Into<String>,
    template: Project,
    words: impl Into<String>,
    judge: impl FnMut(&Project, &Ended) -> Judged + 'a,
) -> Case<'a> {
    let settle = |_: &Project| Ok(());
    Case { name: name.into(), template, words: words.into(), settle, judge: Box::new(judge) }
}
