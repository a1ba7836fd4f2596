//! One request and its answer: signed, sent, and what a refusal means.

use super::xml;
use crate::{Result, error::OffsiteError, offsite::World};
use chrono::{DateTime, TimeDelta, Utc};
use rusty_s3::{Bucket, Credentials, Method, signing};
use std::{collections::BTreeMap, io::Read, time::Duration};
use ureq::{
    Agent, Body, SendBody,
    http::{Request, Response},
};

/// How long a signature is good for.
const SIGNED_FOR: u64 = 15 * 60;
/// Object stores refuse requests whose time is further off.
const SKEW: TimeDelta = TimeDelta::minutes(14);
/// Bytes of the longest answer that is not an object.
const LONGEST: u64 = 16 << 20;

/// The other side.
pub(super) struct Exchange<'a> {
    pub(super) bucket: Bucket,
    pub(super) credentials: Credentials,
    pub(super) agent: Agent,
    pub(super) shown: String,
    pub(super) clock: &'a (dyn Fn() -> DateTime<Utc> + Sync),
}

/// A request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The key of an object; nothing for the bucket itself.
    pub(super) key: &'a str,
    /// Sorted by name, as a signature needs them.
    pub(super) query: BTreeMap<&'a str, String>,
    /// The same, in lower case.
    pub(super) headers: BTreeMap<&'a str, String>,
    /// What is asked, as a verb phrase.
    pub(super) action: &'static str,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, key: &'a str, action: &'static str) -> Self {
        Self { method, key, query: BTreeMap::new(), headers: BTreeMap::new(), action }
    }

    pub(super) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.insert(name, value.into());
        self
    }

    pub(super) fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }
}

/// A client whose waits all have an end.
pub(super) fn agent(timeout: Duration, roots: Option<ureq::tls::RootCerts>) -> Agent {
    let tls = ureq::tls::TlsConfig::builder();
    let tls = match roots {
        Some(roots) => tls.root_certs(roots),
        None => tls,
    };
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        // An answer that points elsewhere is no answer: the signature is for this address.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .timeout_per_read(Some(timeout))
        .timeout_per_write(Some(timeout))
        .user_agent(concat!("piton/", env!("CARGO_PKG_VERSION")));
    Agent::new_with_config(config.build())
}

impl Exchange<'_> {
    /// Asks without a body, and gives the answer to be read by the caller.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Response<Body>> {
        self.send(ask, 0, &mut std::io::empty())
    }

    /// Asks without a body, and gives the answer's text.
    pub(super) fn text(&self, ask: &Ask<'_>) -> Result<String> {
        let response = self.ask(ask)?;
        self.read(response)
    }

    /// Asks with a body of so many bytes.
    pub(super) fn send(
        &self,
        ask: &Ask<'_>,
        bytes: u64,
        body: &mut dyn Read,
    ) -> Result<Response<Body>> {
        let failed = |reason: String| OffsiteError::Failed {
            place: self.shown.clone(),
            action: ask.action.into(),
            reason,
        };
        let url = match ask.key {
            "" => self.bucket.base_url().clone(),
            key => self.bucket.object_url(key),
        };
        let now = jiff::Timestamp::from_second((self.clock)().timestamp());
        let url = signing::sign(
            &now.map_err(|error| failed(error.to_string()))?,
            ask.method,
            url,
            self.credentials.key(),
            self.credentials.secret(),
            self.credentials.token(),
            self.bucket.region(),
            SIGNED_FOR,
            ask.query.iter().map(|(name, value)| (*name, value.as_str())),
            ask.headers.iter().map(|(name, value)| (*name, value.as_str())),
        );
        let mut request = Request::builder().method(ask.method.to_str()).uri(url.as_str());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let has_body = matches!(ask.method, Method::Put | Method::Post);
        let answered = if has_body {
            let request = request.header("content-length", bytes);
            let request = request.body(SendBody::from_reader(body));
            self.agent.run(request.map_err(|error| failed(error.to_string()))?)
        } else {
            self.agent.run(request.body(()).map_err(|error| failed(error.to_string()))?)
        };
        let response = answered.map_err(|error| self.unanswered(ask, &error))?;
        match response.status().as_u16() {
            200..=299 => Ok(response),
            _ => Err(self.refused(ask, response).into()),
        }
    }

    /// The text of an answer. Some refusals come under the cloak of success.
    pub(super) fn read(&self, response: Response<Body>) -> Result<String> {
        let mut text = String::new();
        let reader = response.into_body().into_reader();
        reader
            .take(LONGEST)
            .read_to_string(&mut text)
            .map_err(crate::offsite::place::broken(&self.shown))?;
        if !xml::all(&text, "Error").is_empty() {
            return Err(self.meaning("do what was asked", 200, &text, None).into());
        }
        Ok(text)
    }

    /// What it means that there is no answer at all.
    fn unanswered(&self, ask: &Ask<'_>, error: &ureq::Error) -> OffsiteError {
        use std::io::ErrorKind;
        let reason = match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        let place = self.shown.clone();
        match error {
            ureq::Error::HostNotFound => {
                OffsiteError::Unreachable { place, reason: "the host is not known".into() }
            }
            ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                OffsiteError::Unreachable { place, reason }
            }
            ureq::Error::Io(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::NetworkDown
                ) =>
            {
                OffsiteError::Unreachable { place, reason }
            }
            ureq::Error::Io(error) if error.to_string().contains("lookup address") => {
                OffsiteError::Unreachable { place, reason: "the host is not known".into() }
            }
            ureq::Error::Io(error) if error.to_string().contains("peer certificate") => {
                OffsiteError::Certificate { place, reason: error.to_string() }
            }
            ureq::Error::Io(error) => match error.get_ref().map(ToString::to_string) {
                // The archive itself could not be read: the content says so with its path.
                Some(reason) if error.kind() == ErrorKind::Other => {
                    OffsiteError::Failed { place, action: ask.action.into(), reason }
                }
                _ => OffsiteError::Broken { place, reason },
            },
            ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => {
                OffsiteError::Broken { place, reason }
            }
            _ => OffsiteError::Failed { place, action: ask.action.into(), reason },
        }
    }

    /// What a refusal means.
    fn refused(&self, ask: &Ask<'_>, response: Response<Body>) -> OffsiteError {
        let status = response.status().as_u16();
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let mut text = String::new();
        // What cannot be read is as good as empty: the status says enough.
        let _ = response.into_body().into_reader().take(LONGEST).read_to_string(&mut text);
        self.meaning(ask.action, status, &text, date.map(|date| date.to_utc()))
    }

    fn meaning(
        &self,
        action: &str,
        status: u16,
        text: &str,
        date: Option<DateTime<Utc>>,
    ) -> OffsiteError {
        let place = self.shown.clone();
        let code = xml::first(text, "Code").unwrap_or_default();
        let message = xml::first(text, "Message").unwrap_or_default();
        let reason = match (code.as_str(), message.as_str()) {
            ("", _) => format!("status {status}"),
            (code, "") => code.to_string(),
            (code, message) => format!("{code}: {}", message.trim_end_matches('.')),
        };
        let apart = date.map(|date| ((self.clock)() - date).abs()).filter(|apart| *apart > SKEW);
        match (status, code.as_str()) {
            (_, "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture") => {
                OffsiteError::Skew { place, reason }
            }
            (400 | 403, _) if apart.is_some() => {
                let minutes = apart.map(|apart| apart.num_minutes()).unwrap_or_default();
                let reason = format!("{minutes} minutes apart ({reason})");
                OffsiteError::Skew { place, reason }
            }
            (_, "NoSuchBucket") => {
                OffsiteError::Missing { what: "bucket", name: self.bucket.name().into() }
            }
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "StorageQuotaExceeded") => {
                OffsiteError::Full { place, reason }
            }
            (_, "MethodNotAllowed" | "XMinioServerReadOnly") => {
                OffsiteError::ReadOnly { place, reason }
            }
            (401 | 403, _) | (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => {
                OffsiteError::Denied { place, reason }
            }
            // The last one of them went wrong on the way, or the upload was abandoned meanwhile.
            (408 | 429 | 500 | 502 | 503 | 504, _)
            | (_, "RequestTimeout" | "SlowDown" | "InternalError" | "BadDigest" | "NoSuchUpload") => {
                OffsiteError::Broken { place, reason }
            }
            (_, "XAmzContentChecksumMismatch" | "InvalidPart") => {
                OffsiteError::Broken { place, reason }
            }
            (301 | 307, _) | (_, "AuthorizationHeaderMalformed") => {
                let reason = format!("{reason}; check `region` and `endpoint`");
                OffsiteError::Failed { place, action: action.into(), reason }
            }
            _ => OffsiteError::Failed { place, action: action.into(), reason },
        }
    }
}

impl<'a> Exchange<'a> {
    /// Makes ready for a bucket; nothing is reached yet.
    pub(super) fn open(
        bucket: Bucket,
        credentials: Credentials,
        agent: Agent,
        shown: String,
        world: &World<'a>,
    ) -> Self {
        Self { bucket, credentials, agent, shown, clock: world.clock }
    }
}
