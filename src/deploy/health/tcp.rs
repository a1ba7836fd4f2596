//! A probe that only connects.

use super::{
    Ground, Probe,
    settings::{some_time, timeout},
};
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// An address to which a connection must be possible.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tcp {
    /// Host and port: `127.0.0.1:8080`.
    #[serde(deserialize_with = "address")]
    pub address: String,
    /// The time until it is connected.
    #[serde(default = "timeout", deserialize_with = "some_time")]
    pub timeout: Duration,
    /// Whether it comes with this release: the service that runs before is not asked.
    #[serde(default)]
    pub new: bool,
}

impl Probe for Tcp {
    fn name(&self) -> String {
        format!("tcp `{}`", self.address)
    }

    fn is_new(&self) -> bool {
        self.new
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn look(&self, _: &Ground<'_>, limit: Duration) -> Result<(), String> {
        let found = self.address.to_socket_addrs();
        let found = found.map_err(|error| format!("the host is not known: {error}"))?;
        let mut reason = "the host has no address".to_string();
        for address in found {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(_) => return Ok(()),
                Err(error) => reason = format!("no connection: {error}"),
            }
        }
        Err(reason)
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0) => {
            Ok(text)
        }
        _ => Err(D::Error::custom(format!(
            "`{text}` is no address: write host and port, like `127.0.0.1:8080`"
        ))),
    }
}
