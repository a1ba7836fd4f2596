//! `load`: writes one key after another and logs each that the service acknowledged.
//!
//! A key is logged only after its acknowledgement arrived, so a killed client never claims too much.
//! A line of the log is `MILLISECONDS KEY RELEASE`, the time since 1970.

use crate::{Flags, Result, http};
use std::{
    fs::OpenOptions,
    io::Write,
    net::ToSocketAddrs,
    process::{self, ExitCode},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Writes until the time is over; for a day where none is given.
pub fn run(flags: &Flags) -> Result<ExitCode> {
    let address = flags.address().to_socket_addrs()?.next().ok_or("no such address")?;
    let end = Instant::now() + Duration::from_secs(flags.number("seconds", 86_400)?);
    let pause = Duration::from_millis(flags.number("pause", 2)?);
    let mut log = OpenOptions::new().create(true).append(true).open(flags.log()?)?;
    let run = format!("{}-{}", now(), process::id());
    let mut number = 0_u64;
    while Instant::now() < end {
        // A key whose answer was lost may or may not be there; it is never sent again.
        number += 1;
        let key = format!("{run}-{number}");
        if let Ok(answer) = http::post(address, "/write", &key)
            && answer.status == 200
        {
            writeln!(log, "{} {key} {}", now(), answer.body.trim())?;
        }
        thread::sleep(pause);
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis())
}
