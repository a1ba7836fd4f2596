//! The `piton` command: arguments in, one report out, an exit code.
//!
//! It uses the library's public interface only. Standard output carries the report, standard error
//! what is said on the way.

mod args;
mod commands;
mod interrupt;
mod notice;
mod panic;
mod render;

use args::Arguments;
use render::{Report, Screen};
use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    arm_fault();
    interrupt::listen();
    piton::disk::explain_lost_pages();
    let words: Vec<OsString> = std::env::args_os().collect();
    let code = match args::parse(&words) {
        Ok(arguments) => run(&arguments, &words),
        Err(usage) => usage.print(),
    };
    ExitCode::from(code)
}

fn run(arguments: &Arguments, words: &[OsString]) -> u8 {
    let name = arguments.command.name();
    let screen = Screen::from_arguments(arguments);
    let mut notice = None;
    let ran = panic::caught(|| commands::run(arguments, words, &screen, &mut notice));
    let (report, screen) = ran.unwrap_or_else(|error| (Report::failure(&error), screen));
    let code = screen.print(name, &report);
    if let Some(notice) = notice {
        notice.send(code, &report);
    }
    code
}

/// Lets a test fail changes of the file system, with commas between them; see `piton::disk::fault`.
#[cfg(any(debug_assertions, feature = "faults"))]
fn arm_fault() {
    if let Ok(text) = std::env::var("PITON_FAULT")
        && !piton::disk::fault::arm_from(&text)
    {
        eprintln!(
            "piton: PITON_FAULT is not of the form POINT:NTH:kill, :stop, :ERRNO or :leave-out"
        );
    }
}

#[cfg(not(any(debug_assertions, feature = "faults")))]
fn arm_fault() {}
