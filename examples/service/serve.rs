//! `serve`: answers requests and works in the background, as its release behaves.
//!
//! It never goes on with a database whose file was swapped: it says so on standard error and ends.

use crate::{
    Flags, Result,
    http::{self, Answer, Request},
    release::{Behaviour, Release},
    store::Store,
};
use std::{
    env,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Command, ExitCode},
    sync::Arc,
    thread,
    time::Duration,
};

/// Between two steps of the background work.
const PAUSE: Duration = Duration::from_millis(10);

/// The exit status after a database was swapped.
const SWAPPED: i32 = 70;

/// Set for the second start of a release that hangs on stop.
const DEAF: &str = "SERVICE_IGNORES_TERM";

pub fn run(flags: &Flags) -> Result<ExitCode> {
    let release = Release::here()?;
    println!("release {}, {:?}", release.name, release.behaviour);
    match release.behaviour {
        Behaviour::CrashAtStart => return Err("this release crashes at its start".into()),
        Behaviour::Slow(time) => thread::sleep(time),
        Behaviour::HangOnStop if env::var_os(DEAF).is_none() => return Err(deaf().into()),
        _ => {}
    }
    let store = match release.behaviour {
        Behaviour::Empty => Store::empty()?,
        _ => Store::open(Path::new(flags.data()))?,
    };
    let store = Arc::new(store);
    let listener = TcpListener::bind(flags.address())?;
    println!("listening on {}", listener.local_addr()?);
    let worker = Arc::clone(&store);
    thread::spawn(move || work(&worker));
    if let Behaviour::CrashSoon(time) = release.behaviour {
        thread::spawn(move || {
            thread::sleep(time);
            process::exit(1);
        });
    }
    let release = Arc::new(release);
    for stream in listener.incoming() {
        let (stream, store, release) = (stream?, Arc::clone(&store), Arc::clone(&release));
        thread::spawn(move || {
            if let Err(error) = serve(&stream, &store, &release) {
                eprintln!("service: a request: {error}");
            }
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts this program again with SIGTERM ignored, which `exec` passes on; returns only on failure.
fn deaf() -> std::io::Error {
    let words = env::args_os();
    let script = "trap '' TERM; exec \"$@\"";
    Command::new("/bin/sh").args(["-c", script, "sh"]).args(words).env(DEAF, "1").exec()
}

fn work(store: &Store) {
    loop {
        if let Some(path) = store.swapped() {
            eprintln!("service: SWAPPED: {} is another file than the open one", path.display());
            process::exit(SWAPPED);
        }
        if let Err(error) = store.count() {
            eprintln!("service: the background work: {error}");
        }
        thread::sleep(PAUSE);
    }
}

fn serve(stream: &TcpStream, store: &Store, release: &Release) -> Result<()> {
    let request = http::read_request(stream)?;
    let result = match release.behaviour {
        Behaviour::Broken => Err("this release is broken".into()),
        _ => respond(&request, store, release),
    };
    let answer = result.unwrap_or_else(|error| Answer { status: 500, body: format!("{error}\n") });
    http::answer(stream, &answer)
}

fn respond(request: &Request, store: &Store, release: &Release) -> Result<Answer> {
    let body = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/write") if request.body.is_empty() => {
            return Ok(Answer { status: 400, body: "the body is the key to write\n".into() });
        }
        ("POST", "/write") => {
            store.write(&request.body)?;
            format!("{}\n", release.name)
        }
        ("GET", "/health") => health(store, release)?,
        ("GET", "/acknowledged") => store.keys()?.iter().map(|key| format!("{key}\n")).collect(),
        _ => return Ok(Answer { status: 404, body: "no such path\n".into() }),
    };
    Ok(Answer { status: 200, body })
}

fn health(store: &Store, release: &Release) -> Result<String> {
    let counters = store.counters()?;
    if !counters.are_in_order() {
        return Err(format!("the databases disagree: {counters:?}").into());
    }
    let (name, writes) = (&release.name, store.count_of_writes()?);
    Ok(format!("ok\nrelease {name}\nwrites {writes}\nsteps {}\n", counters.app))
}
