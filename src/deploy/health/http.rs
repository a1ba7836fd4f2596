//! A probe over HTTP or HTTPS. It follows no redirect and no proxy: what answers is the service.

use super::{
    Ground, Probe,
    settings::{some_time, timeout},
};
use serde::{Deserialize, Deserializer, de::Error};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

#[cfg(feature = "http")]
use std::io;
#[cfg(feature = "http")]
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

#[cfg(feature = "http")]
/// Bytes of an answer in which the text is looked for.
const READ: usize = 1024 * 1024;

/// Characters of an answer that a message shows.
const SHOWN: usize = 200;

/// An address that must answer as expected. Its headers are never shown: they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// The address, `http://…` or `https://…`.
    #[serde(deserialize_with = "address")]
    pub url: String,
    /// The status, or several of which each is good; any from 200 to 299 where none is given.
    #[serde(default)]
    pub status: Statuses,
    /// Text that must be in the answer's first MiB.
    pub body: Option<String>,
    /// A file of certificates (PEM), in the project's folder, that are trusted instead of the
    /// public ones.
    pub trust: Option<PathBuf>,
    /// Headers of the request.
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// The time until the answer is there.
    #[serde(default = "timeout", deserialize_with = "some_time")]
    pub timeout: Duration,
    /// Whether it comes with this release: the service that runs before is not asked.
    #[serde(default)]
    pub new: bool,
}

/// Statuses that are good; any from 200 to 299 where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(pub Vec<u16>);

impl Statuses {
    fn contain(&self, status: u16) -> bool {
        if self.0.is_empty() { (200..300).contains(&status) } else { self.0.contains(&status) }
    }

    fn wanted(&self) -> String {
        match self.0.as_slice() {
            [] => "200 to 299".into(),
            list => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// What came back.
struct Answer {
    status: u16,
    /// Where a redirect leads.
    location: Option<String>,
    /// Its beginning, as far as it was needed.
    body: String,
    /// Why there is no more of it.
    broken: Option<String>,
}

impl Probe for Http {
    fn name(&self) -> String {
        format!("http `{}`", self.url)
    }

    fn is_new(&self) -> bool {
        self.new
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn look(&self, ground: &Ground<'_>, limit: Duration) -> Result<(), String> {
        let answer = self.ask(ground, limit)?;
        let status = answer.status;
        if !self.status.contain(status) {
            let wanted = self.status.wanted();
            let to = answer.location.map_or_else(String::new, |to| {
                format!(" with a redirect to `{to}`, which is not followed")
            });
            return Err(format!("answered {status}{to}, not {wanted}{}", excerpt(&answer.body)));
        }
        match &self.body {
            Some(wanted) if !answer.body.contains(wanted.as_str()) => {
                let broken = answer.broken.map(|reason| format!(", and then broke off: {reason}"));
                let broken = broken.unwrap_or_default();
                let excerpt = excerpt(&answer.body);
                Err(format!("answered {status} without `{wanted}`{broken}{excerpt}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "http")]
impl Http {
    fn ask(&self, ground: &Ground<'_>, limit: Duration) -> Result<Answer, String> {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .timeout_global(Some(limit))
                .max_redirects(0)
                .max_redirects_will_error(false)
                .http_status_as_error(false)
                .proxy(None)
                .tls_config(TlsConfig::builder().root_certs(self.roots(ground)?).build())
                .user_agent(concat!("piton/", env!("CARGO_PKG_VERSION")))
                .build(),
        );
        let request = agent.get(&self.url);
        let request = self.header.iter().fold(request, |it, (name, value)| it.header(name, value));
        let mut response = request.call().map_err(|error| in_words(&error, limit))?;
        let status = response.status().as_u16();
        let location = response.headers().get("location");
        let location = location.and_then(|it| it.to_str().ok()).map(ToString::to_string);
        let (body, broken) = self.read(status, &mut response.body_mut().as_reader());
        let broken = broken.map(|error| match error.downcast::<ureq::Error>() {
            Ok(error) => in_words(&error, limit),
            Err(error) => error.to_string(),
        });
        Ok(Answer { status, location, body, broken })
    }

    /// Who may vouch for the service.
    fn roots(&self, ground: &Ground<'_>) -> Result<RootCerts, String> {
        let Some(path) = &self.trust else { return Ok(RootCerts::WebPki) };
        let path = ground.root.join(path);
        let wrong = |reason: String| format!("cannot read `{}`: {reason}", path.display());
        let text = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
        let items: Result<Vec<PemItem<'_>>, ureq::Error> = parse_pem(&text).collect();
        let certificates = items.map_err(|error| wrong(error.to_string()))?.into_iter();
        let certificates: Vec<Certificate<'_>> = certificates
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        match certificates.is_empty() {
            true => Err(wrong("it holds no certificate".into())),
            false => Ok(RootCerts::new_with_certs(&certificates)),
        }
    }

    /// Reads no more than is needed: an answer may be without end.
    fn read(&self, status: u16, body: &mut impl io::Read) -> (String, Option<io::Error>) {
        let mut bytes = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let is_enough = |bytes: &[u8]| match (&self.body, self.status.contain(status)) {
            (Some(wanted), true) => text(bytes).contains(wanted.as_str()) || bytes.len() >= READ,
            (None, true) => true,
            (_, false) => bytes.len() >= SHOWN,
        };
        let mut part = [0; 64 * 1024];
        while !is_enough(&bytes) {
            match body.read(&mut part) {
                Ok(0) => break,
                Ok(length) => bytes.extend_from_slice(&part[..length]),
                Err(error) => return (text(&bytes), Some(error)),
            }
        }
        (text(&bytes), None)
    }
}

#[cfg(not(feature = "http"))]
impl Http {
    fn ask(&self, _: &Ground<'_>, _: Duration) -> Result<Answer, String> {
        Err(MISSING.into())
    }
}

#[cfg(not(feature = "http"))]
const MISSING: &str = "this piton was built without the feature `http`";

#[cfg(feature = "http")]
fn in_words(error: &ureq::Error, limit: Duration) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no whole answer within {:.1} s", limit.as_secs_f64()),
        ureq::Error::HostNotFound => "the host is not known".into(),
        ureq::Error::Io(error) => match error.get_ref().and_then(|it| it.downcast_ref()) {
            Some(error) => tls_in_words(error),
            None => error.to_string(),
        },
        ureq::Error::Rustls(error) => tls_in_words(error),
        other => other.to_string(),
    }
}

#[cfg(feature = "http")]
fn tls_in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => {
            format!("its certificate is not accepted: {reason}")
        }
        other => format!("no secure connection: {other}"),
    }
}

/// The beginning of an answer, on one line.
fn excerpt(body: &str) -> String {
    let words: Vec<&str> = body.split_whitespace().collect();
    let line = words.join(" ");
    let cut: String = line.chars().filter(|it| !it.is_control()).take(SHOWN).collect();
    match cut.as_str() {
        "" => "; the body is empty".into(),
        cut => format!("; the body begins `{cut}`"),
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |reason: &str| Err(D::Error::custom(format!("`{text}`: {reason}")));
    if !["http://", "https://"].iter().any(|start| text.starts_with(start)) {
        return wrong("an address begins with `http://` or `https://`");
    }
    match check(&text) {
        Ok(()) => Ok(text),
        Err(reason) => wrong(&reason),
    }
}

#[cfg(feature = "http")]
fn check(address: &str) -> Result<(), String> {
    match address.parse::<ureq::http::Uri>() {
        Ok(uri) if uri.host().is_some_and(|it| !it.is_empty()) => Ok(()),
        Ok(_) => Err("the address names no host".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(not(feature = "http"))]
fn check(_: &str) -> Result<(), String> {
    Err(MISSING.into())
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "`status` is a number such as 200, or a list of them")]
        enum Form {
            One(u16),
            Several(Vec<u16>),
        }
        let list = match Form::deserialize(deserializer)? {
            Form::One(status) => vec![status],
            Form::Several(list) => list,
        };
        match list.iter().find(|it| !(100..600).contains(*it)) {
            None if list.is_empty() => Err(D::Error::custom("no status would be good")),
            None => Ok(Self(list)),
            Some(wrong) => Err(D::Error::custom(format!("`{wrong}` is no HTTP status"))),
        }
    }
}
