//! A bucket of an object store that speaks S3, under a prefix.
//!
//! Requests are signed by query (AWS Signature Version 4), so that no key is ever sent; addresses
//! with signatures are never shown.

mod credentials;
mod exchange;
mod upload;
mod xml;

use super::{
    World,
    content::Content,
    place::{Object, Place, Unfinished, damaged},
    settings::{Addressing, Bucket},
};
use crate::{
    Result, disk,
    error::OffsiteError,
    event::{Event, Work},
    store::Hashing,
};
use exchange::{Ask, Exchange};
use rusty_s3::{Method, UrlStyle};
use std::{
    io::{self, Read, Write as _},
    time::Duration,
};
use upload::Proof;

const DEFAULT_REGION: &str = "us-east-1";

/// The bucket.
pub(super) struct ObjectStore<'a> {
    exchange: Exchange<'a>,
    prefix: String,
}

impl<'a> ObjectStore<'a> {
    pub(super) fn open(
        settings: &Bucket,
        shown: String,
        timeout: Duration,
        world: &World<'a>,
    ) -> Result<Self> {
        let given = |name: &str| (world.variables)(name).filter(|value| !value.trim().is_empty());
        let region = settings.region.clone();
        let region = region.or_else(|| given("AWS_REGION")).or_else(|| given("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| DEFAULT_REGION.into());
        let endpoint = settings.endpoint.clone();
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let failed = |reason: String| OffsiteError::Failed {
            place: shown.clone(),
            action: "be asked".into(),
            reason: format!("`endpoint`: {reason}"),
        };
        let style = match settings.addressing {
            Addressing::Path => UrlStyle::Path,
            Addressing::Host => UrlStyle::VirtualHost,
        };
        let url = endpoint.parse().map_err(|_| failed(format!("`{endpoint}` is no address")))?;
        let bucket = rusty_s3::Bucket::new(url, style, settings.name.clone(), region)
            .map_err(|error| failed(error.to_string()))?;
        let credentials = credentials::find(settings.credentials.as_deref(), &shown, world)?;
        let roots = settings.ca_file.as_deref().map(authorities).transpose()?;
        let agent = exchange::agent(timeout, roots);
        let exchange = Exchange::open(bucket, credentials, agent, shown, world);
        Ok(Self { exchange, prefix: settings.prefix.clone() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Reads an object back, where the store gave no digest of what arrived.
    fn read_back(&self, name: &str, content: &Content<'_>) -> Result<()> {
        let total_bytes = Some(content.bytes());
        content.observer().event(Event::WorkStarted { work: Work::Compare, total_bytes });
        let mut hashing = Hashing::new(io::sink());
        let mut reader = self.get(name, 0)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count =
                reader.read(&mut buffer).map_err(super::place::broken(&self.exchange.shown))?;
            if count == 0 {
                break;
            }
            content.pace().keep(count as u64);
            hashing.write_all(&buffer[..count]).expect("a sink takes everything");
            let done_bytes = hashing.count();
            content.observer().event(Event::WorkAdvanced { work: Work::Compare, done_bytes });
        }
        content.observer().event(Event::WorkEnded { work: Work::Compare });
        let (_, sha256, bytes) = hashing.finish();
        if (sha256, bytes) == (content.sha256(), content.bytes()) {
            return Ok(());
        }
        self.delete(name)?;
        Err(damaged(&self.exchange.shown, name, "it reads back differently").into())
    }

    /// The length of an object.
    fn length(&self, name: &str) -> Result<Option<u64>> {
        let key = self.key(name);
        let response = self.exchange.ask(&Ask::new(Method::Head, &key, "tell a length"))?;
        let length = response.headers().get("content-length").and_then(|it| it.to_str().ok());
        Ok(length.and_then(|length| length.parse().ok()))
    }
}

impl Place for ObjectStore<'_> {
    fn shown(&self) -> &str {
        &self.exchange.shown
    }

    fn list(&self) -> Result<Vec<Object>> {
        let (mut found, mut from) = (Vec::new(), String::new());
        loop {
            let mut ask = Ask::new(Method::Get, "", "list objects")
                .query("list-type", "2")
                .query("prefix", &self.prefix);
            if !from.is_empty() {
                ask = ask.query("continuation-token", &from);
            }
            let text = self.exchange.text(&ask)?;
            for object in xml::all(&text, "Contents") {
                let key = xml::first(object, "Key").unwrap_or_default();
                let bytes = xml::first(object, "Size").and_then(|size| size.parse().ok());
                let (Some(name), Some(bytes)) = (key.strip_prefix(&self.prefix), bytes) else {
                    continue;
                };
                // What lies further down belongs to somebody else.
                if !name.is_empty() && !name.contains('/') {
                    let modified = upload::time(object, "LastModified");
                    found.push(Object { name: name.into(), bytes, modified });
                }
            }
            match xml::first(&text, "NextContinuationToken") {
                Some(next) if !next.is_empty() && next != from => from = next,
                _ => return Ok(found),
            }
        }
    }

    fn put(&self, name: &str, content: &Content<'_>) -> Result<()> {
        let proof = match upload::is_small(content) {
            true => self.put_whole(name, content)?,
            false => self.put_parts(name, content)?,
        };
        let length = self.length(name)?;
        if length.is_some_and(|length| length != content.bytes()) {
            let reason = format!("it has {} bytes there", length.unwrap_or_default());
            return Err(damaged(&self.exchange.shown, name, reason).into());
        }
        match proof {
            Proof::Given => Ok(()),
            Proof::Owed => self.read_back(name, content),
        }
    }

    fn get(&self, name: &str, from: u64) -> Result<Box<dyn Read + '_>> {
        let key = self.key(name);
        let mut ask = Ask::new(Method::Get, &key, "give an object");
        if from > 0 {
            ask = ask.header("range", format!("bytes={from}-"));
        }
        let response = self.exchange.ask(&ask)?;
        if from > 0 && response.status().as_u16() != 206 {
            let (place, action) = (self.exchange.shown.clone(), "give a part of an object".into());
            let reason = "it gives only whole ones".into();
            return Err(OffsiteError::Failed { place, action, reason }.into());
        }
        Ok(Box::new(response.into_body().into_reader()))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let key = self.key(name);
        self.exchange.ask(&Ask::new(Method::Delete, &key, "remove an object")).map(drop)
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>> {
        self.uploads(&self.prefix)
    }

    fn abandon(&self, upload: &Unfinished) -> Result<()> {
        let key = self.key(&upload.name);
        let ask = Ask::new(Method::Delete, &key, "abandon an upload");
        self.exchange.ask(&ask.query("uploadId", &upload.handle)).map(drop)
    }
}

/// The certificates of a file that may vouch for the other side.
fn authorities(path: &std::path::Path) -> Result<ureq::tls::RootCerts> {
    let mut pem = Vec::new();
    let mut file = disk::open_to_read(path)?;
    file.read_to_end(&mut pem).map_err(disk::failed("read", path))?;
    let items = ureq::tls::parse_pem(&pem);
    let certificates: Vec<_> = items
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let (path, reason) = (path.to_path_buf(), "it holds no certificate".into());
        return Err(OffsiteError::BadAuthorities { path, reason }.into());
    }
    Ok(ureq::tls::RootCerts::new_with_certs(&certificates))
}
