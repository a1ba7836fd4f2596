//! Runs one command once and looks at what a kill or a power cut would leave at each of its steps.
//!
//! Where a step is left out, only what comes behind it can differ, and of a sync only what it would
//! have kept is lost. So a few pictures of the disk, taken right there, find what thousands of cuts
//! at random would not.

use crate::{
    calls::{is_changing, looked_at},
    cut::follow,
    files::copy_folder,
    model::{Image, Model, Through, Unsynced},
    project::{Ended, Project},
    setup::Made,
    tally::chance,
    tracer::{Moment, Then},
};
use piton::disk::fault::MARK;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// One command on one project, and what it is held to.
pub struct Case<'a> {
    pub name: String,
    /// Its folder is never changed.
    pub template: Project,
    pub words: String,
    /// Makes a copy of the template, or of what it became, fit for the folder in which it lies.
    pub settle: fn(&Project) -> std::io::Result<()>,
    /// Judges what was left by the command, which ended so; a kill has no exit code.
    pub judge: Box<Judging<'a>>,
}

type Judging<'a> = dyn FnMut(&Project, &Ended) -> Result<(), String> + 'a;

/// What a left out step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It keeps one file or folder.
    Sync,
    /// It keeps everything.
    SyncAll,
    /// It changes what everybody sees, or keeps others out.
    Act,
    /// Nothing is left out: everything is looked at.
    Nothing,
}

/// What was seen of one run.
pub struct Recording {
    /// How often it came to the step.
    pub met: u32,
    pictures: Vec<Picture>,
    /// In which order they are looked at; some come twice.
    order: Vec<usize>,
}

struct Picture {
    image: Image,
    ended: Ended,
    /// How many changes lie between the step and this one.
    distance: u32,
    kind: Kind,
    nth: u32,
}

impl Recording {
    /// How many pictures there are.
    pub const fn count(&self) -> usize {
        self.pictures.len()
    }
}

/// In which order pictures are looked at: the command as it ended, then what is surest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ended,
    Cut,
    Chance,
}

/// Of each kind the nearest to the step and some from far behind it in turn: what a step has kept may
/// be needed at once, or only when all else has been done.
fn near_and_far(pictures: &[Picture]) -> Vec<usize> {
    let mut order = Vec::new();
    for kind in [Kind::Ended, Kind::Cut, Kind::Chance] {
        let begin = pictures.partition_point(|it| it.kind < kind);
        let end = pictures.partition_point(|it| it.kind <= kind);
        let count = end - begin;
        // The digits of 0, 1, 2, … backwards: always the middle of what was left out longest.
        let digits = usize::BITS - count.leading_zeros();
        let backwards = |it: usize| it.reverse_bits().unbounded_shr(usize::BITS - digits);
        let far = (0..1_usize << digits).map(backwards).filter(|it| *it < count);
        let near = 0..count;
        order.extend(near.zip(far).flat_map(|(near, far)| [begin + near, begin + far]));
    }
    order
}

/// Where runs are watched.
pub struct Hunter<'a> {
    pub folder: &'a Path,
    pub seed: u64,
}

impl Hunter<'_> {
    /// Runs a case with these variables.
    pub fn record(&self, case: &Case<'_>, fault: Option<&str>, step: Step) -> Made<Recording> {
        let project = self.fresh(case, fault)?;
        let mut watch = Watch {
            model: Model::new(&project.folder)?,
            project: project.clone(),
            step,
            lost: Vec::new(),
            met: 0,
            changes: 0,
            last: if step == Step::Nothing { Some(0) } else { None },
            pictures: Vec::new(),
            seed: self.seed,
        };
        let mut trouble = None;
        let ended = project.traced(&case.words, &mut |point| {
            if let Err(error) = watch.meet(point) {
                trouble = Some(error);
            }
            Then::Go
        })?;
        if let Some(error) = trouble {
            return Err(error.into());
        }
        watch.changes += 1;
        watch.take_all(&ended, Kind::Ended)?;
        let Watch { met, mut pictures, .. } = watch;
        pictures.sort_by_key(|it| (it.kind, it.distance));
        let order = near_and_far(&pictures);
        Ok(Recording { met, pictures, order })
    }

    /// What of so many pictures shows that something is missing.
    pub fn look(
        &self,
        case: &mut Case<'_>,
        fault: Option<&str>,
        recording: &Recording,
        kinds: Looking,
        limit: &mut u32,
    ) -> Made<Option<String>> {
        let place = Project { folder: self.after(), ..case.mutant(fault) };
        let mut seen = HashSet::new();
        for picture in recording.order.iter().map(|at| &recording.pictures[*at]) {
            if kinds.leaves_out(picture.kind)
                || !seen.insert((picture.image.key(), picture.ended.code))
            {
                continue;
            }
            if *limit == 0 {
                return Ok(None);
            }
            *limit -= 1;
            picture.image.lay_out(&place.folder)?;
            (case.settle)(&place)?;
            if let Err(what) = (case.judge)(&place, &picture.ended) {
                let when = match picture.ended.code {
                    Some(_) => "after its end".into(),
                    None => format!("at change {}", picture.nth),
                };
                return Ok(Some(format!("{} {when}: {what}", case.name)));
            }
        }
        Ok(None)
    }

    fn fresh(&self, case: &Case<'_>, fault: Option<&str>) -> Made<Project> {
        let place = self.folder.join("place");
        copy_folder(&case.template.folder, &place)?;
        let project = Project { folder: place, ..case.mutant(fault) };
        (case.settle)(&project)?;
        Ok(project)
    }

    fn after(&self) -> PathBuf {
        self.folder.join("after")
    }
}

/// Which pictures are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looking {
    AtTheEnd,
    Within,
    All,
}

impl Looking {
    fn leaves_out(self, kind: Kind) -> bool {
        match self {
            Self::AtTheEnd => kind != Kind::Ended,
            Self::Within => kind == Kind::Ended,
            Self::All => false,
        }
    }
}

impl Case<'_> {
    /// The project with one more fault.
    pub fn mutant(&self, fault: Option<&str>) -> Project {
        let mut project = self.template.clone();
        if let Some(fault) = fault {
            project.arm(fault);
        }
        project
    }
}

struct Watch {
    model: Model,
    project: Project,
    step: Step,
    lost: Vec<Unsynced>,
    met: u32,
    changes: u32,
    /// How many changes there were when the step was last left out.
    last: Option<u32>,
    pictures: Vec<Picture>,
    seed: u64,
}

impl Watch {
    fn meet(&mut self, point: &crate::tracer::Point) -> std::io::Result<()> {
        follow(&mut self.model, point)?;
        if point.moment != Moment::Before {
            return Ok(());
        }
        if let Some(path) = looked_at(point).as_deref().and_then(|it| it.strip_prefix(MARK)) {
            self.met += 1;
            self.last = Some(self.changes);
            return self.leave_out(Path::new(path));
        }
        if is_changing(point) {
            self.changes += 1;
            if self.last.is_some() {
                let said = self.project.said();
                self.take_all(&Ended { code: None, output: said }, Kind::Cut)?;
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, path: &Path) -> std::io::Result<()> {
        let path = self.project.folder.join(path);
        match self.step {
            Step::Sync if path.exists() => self.lost.extend(self.model.unsynced(&path)?),
            Step::SyncAll => self.lost.extend(self.model.all_unsynced()?),
            _ => {}
        }
        Ok(())
    }

    /// What may be left where everything ends here.
    fn take_all(&mut self, ended: &Ended, kind: Kind) -> std::io::Result<()> {
        // A kill leaves what everybody sees, and no sync changes that.
        if matches!(self.step, Step::Act | Step::Nothing) || kind == Kind::Ended {
            self.take(Through::Everything, ended, kind)?;
        }
        self.take(Through::Nothing, ended, kind)?;
        if !self.lost.is_empty() {
            let lost = self.lost.clone();
            self.take(Through::AllBut(&lost), ended, kind)?;
            self.take(Through::AllButThen(&lost), ended, kind)?;
            let drawn = chance(self.seed, self.changes, 16);
            let some = lost.iter().enumerate().filter(|(at, _)| drawn >> (at % 64) & 1 == 1);
            let some: Vec<Unsynced> = some.map(|(_, it)| it.clone()).collect();
            self.take(Through::AllBut(&some), ended, kind.max(Kind::Chance))?;
        }
        let (seed, changes, mut draw) = (self.seed, self.changes, 0);
        let mut luck = || {
            draw += 1;
            chance(seed ^ u64::from(changes), draw, 17).is_multiple_of(2)
        };
        self.take(Through::Luck(&mut luck), ended, Kind::Chance)
    }

    fn take(&mut self, through: Through<'_>, ended: &Ended, kind: Kind) -> std::io::Result<()> {
        let image = self.model.image(through)?;
        let (ended, nth) = (ended.clone(), self.changes);
        let distance = nth - self.last.unwrap_or(nth);
        self.pictures.push(Picture { image, ended, distance, kind, nth });
        Ok(())
    }
}
