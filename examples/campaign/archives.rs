//! Archives that are not what piton wrote: every one of them is refused, or gives exactly what was
//! backed up, and nothing is ever written outside the folder.

use crate::{
    files::names,
    project::Project,
    scenario::archives,
    setup::{self, Made},
    state::State,
    tally::{Tally, Verdict, chance},
    tarball::{Draw, mutated, packed},
};
use piton::{
    event::Silent,
    restore,
    store::{BackupId, Filter, Store},
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A refusal that takes longer is one that an attacker can use.
const LIMIT: Duration = Duration::from_secs(10);

/// A store with one backup, and a folder around it in which nothing else may appear.
struct Arena {
    folder: PathBuf,
    store: Store,
    id: BackupId,
    archive: Vec<u8>,
    tar: Vec<u8>,
    beside: String,
    good: State,
    scratch: PathBuf,
    around: Vec<String>,
}

/// What lies beside a changed archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// The manifest that was written.
    Same,
    /// The manifest with the digest and size of the changed archive.
    Forged,
    /// None: everything is taken from the archive.
    Nothing,
}

/// Runs the trials: all flips and lengths, and so many archives changed by chance.
pub fn run(tally: &mut Tally, piton: &Project, trials: u32, folder: &Path) -> Made<()> {
    let arena = Arena::new(piton, folder)?;
    let length = arena.archive.len() as u32;
    let seed = tally.options.seed;
    let share = |all: u32| all.min(trials);
    tally.run("archives flipped", share(length * 9), &mut |trial| {
        let (at, how) = ((trial % length) as usize, trial / length);
        let mut bytes = arena.archive.clone();
        // Each bit, where nothing but the archive itself can tell; then the whole byte.
        bytes[at] ^= if how < 8 { 1 << how } else { 0xFF };
        let beside = if how < 8 { Beside::Nothing } else { Beside::Same };
        arena.one(&bytes, beside)
    });
    tally.run("archives cut short", share(length * 2), &mut |trial| {
        let beside = if trial < length { Beside::Same } else { Beside::Nothing };
        arena.one(&arena.archive[..(trial % length) as usize], beside)
    });
    tally.run("archives made longer", share(2_000), &mut |trial| {
        let mut bytes = arena.archive.clone();
        let mut draw = Draw::new(chance(seed, trial, 10));
        let more = (0..=trial / 2).map(|_| if trial % 4 < 2 { 0 } else { draw.below(256) as u8 });
        bytes.extend(more.collect::<Vec<_>>());
        arena.one(&bytes, if trial % 2 == 0 { Beside::Forged } else { Beside::Nothing })
    });
    tally.run("archives changed", trials, &mut |trial| {
        let mut draw = Draw::new(chance(seed, trial, 11));
        let bytes = packed(&mutated(&arena.tar, &mut draw), &mut draw);
        arena.one(&bytes, if trial % 2 == 0 { Beside::Forged } else { Beside::Nothing })
    });
    tally.run("archives manifest", share(20_000), &mut |trial| {
        let mut draw = Draw::new(chance(seed, trial, 12));
        let text = changed_text(&arena.beside, &mut draw);
        arena.with_manifest(&text)
    });
    Ok(())
}

impl Arena {
    fn new(piton: &Project, folder: &Path) -> Made<Self> {
        let project = piton.at(&folder.join("archived"));
        setup::small(&project)?;
        let name = archives(&project.backups()).pop().ok_or("there is no backup")?;
        let id: BackupId = name.trim_end_matches(".tar.gz").parse()?;
        let archive = fs::read(project.backups().join(&name))?;
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(&archive[..]).read_to_end(&mut tar)?;
        let beside = fs::read_to_string(project.backups().join(format!("{id}.json")))?;
        let folder = folder.join("arena/a/b");
        fs::create_dir_all(folder.join("store"))?;
        let store = Store::new(folder.join("store"));
        let scratch = folder.join("../../../looked");
        fs::create_dir_all(&scratch)?;
        let mut arena = Self {
            folder,
            store,
            id,
            archive,
            tar,
            beside,
            good: State::default(),
            scratch,
            around: Vec::new(),
        };
        arena.put(&arena.archive.clone(), Some(&arena.beside))?;
        arena.unpack().map_err(|error| format!("the backup itself is refused: {error}"))?;
        arena.good = State::read(&arena.out(), &arena.scratch);
        fs::remove_dir_all(arena.out())?;
        arena.around = arena.look_around();
        Ok(arena)
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Everything in the folders around the one that is unpacked into.
    fn look_around(&self) -> Vec<String> {
        ["", "store", "..", "../.."].iter().flat_map(|it| names(&self.folder.join(it))).collect()
    }

    fn put(&self, archive: &[u8], beside: Option<&str>) -> std::io::Result<()> {
        fs::write(self.store.archive_path(&self.id), archive)?;
        match beside {
            Some(text) => fs::write(self.store.manifest_path(&self.id), text),
            None => match fs::remove_file(self.store.manifest_path(&self.id)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    fn unpack(&self) -> piton::Result<()> {
        let backup = self.store.load(&self.id)?;
        restore::to_directory(&self.store, &backup, &self.out(), &Filter::default(), &Silent)
    }

    fn one(&self, archive: &[u8], beside: Beside) -> Verdict {
        let text = match beside {
            Beside::Nothing => None,
            Beside::Same => Some(self.beside.clone()),
            Beside::Forged => Some(forged(&self.beside, archive)),
        };
        self.judge(archive, text.as_deref())
    }

    fn with_manifest(&self, text: &str) -> Verdict {
        self.judge(&self.archive, Some(text))
    }

    fn judge(&self, archive: &[u8], beside: Option<&str>) -> Verdict {
        if let Err(error) = self.put(archive, beside) {
            return Verdict::Broken(format!("the trial itself failed: {error}"));
        }
        let clock = Instant::now();
        let unpacked = self.unpack();
        let took = clock.elapsed();
        let mut found = self.look_around();
        let verdict = match unpacked {
            _ if took > LIMIT => Verdict::Broken(format!("it took {} s", took.as_secs())),
            Err(error) if error.kind() == piton::Kind::Internal => {
                Verdict::Broken(format!("it is no defect of piton: {error}"))
            }
            Err(_) => Verdict::Held("refused".into()),
            Ok(()) => {
                let state = State::read(&self.out(), &self.scratch);
                found.retain(|name| name != "out");
                match state.difference(&self.good) {
                    None => Verdict::Held("accepted, equal".into()),
                    Some(difference) => Verdict::Broken(format!("accepted, but {difference}")),
                }
            }
        };
        if self.out().exists() && fs::remove_dir_all(self.out()).is_err() {
            return Verdict::Broken("what was unpacked cannot be removed".into());
        }
        let mut around = self.around.clone();
        if beside.is_none() {
            let manifest = format!("{}.json", self.id);
            around.retain(|name| *name != manifest);
        }
        match found == around {
            true => verdict,
            false => Verdict::Broken(format!("there is something outside: {found:?}")),
        }
    }
}

/// The manifest beside, as somebody would write it who has changed the archive.
fn forged(beside: &str, archive: &[u8]) -> String {
    let mut json: serde_json::Value = serde_json::from_str(beside).expect("piton wrote it");
    let digest = Sha256::digest(archive);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json["archive_sha256"] = hex.into();
    json["archive_bytes"] = archive.len().into();
    serde_json::to_string_pretty(&json).expect("it is plain data")
}

/// A character changed, a number, or a path.
fn changed_text(text: &str, draw: &mut Draw) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=draw.below(3) {
        let at = draw.below(bytes.len());
        if bytes.is_empty() {
            break;
        }
        match draw.below(4) {
            0 => bytes[at] ^= 1 << draw.below(8),
            1 => bytes[at] = b"0123456789{}[]\",:./ "[draw.below(20)],
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(1)),
        }
    }
    let changed = String::from_utf8_lossy(&bytes).into_owned();
    match draw.below(3) {
        0 => text.replacen("uploads/a.txt", ["../a.txt", "/a.txt", "link/a", ""][draw.below(4)], 1),
        _ => changed,
    }
}
