//! Sending an object: whole where it is small, in parts where it is large, so that an upload that
//! broke goes on with the part at which it broke.

use super::{
    ObjectStore,
    exchange::Ask,
    xml::{self, escaped},
};
use crate::{
    Result,
    error::OffsiteError,
    offsite::{
        content::Content,
        place::{Unfinished, damaged},
    },
};
use chrono::{DateTime, Utc};
use md5::Md5;
use rusty_s3::Method;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};
use ureq::{Body, http::Response};

/// Bytes of a part, unless the object would have too many; the least that is allowed is 5 MiB.
const PART: u64 = 8 << 20;
/// So many parts are allowed.
const PARTS: u64 = 10_000;
const MIB: u64 = 1 << 20;

/// The header with the digest that the store itself compares.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// Whether what arrived is known to be what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The store computed a digest that agrees.
    Given,
    /// The store said nothing that could be compared: it must be read back.
    Owed,
}

/// The digests of a part.
struct Digests {
    /// In base64, as the store wants it.
    sha256: String,
    /// In hexadecimal, as in an entity tag.
    md5: String,
}

/// A part that lies there.
struct Sent {
    tag: String,
    sha256: Option<String>,
    bytes: u64,
}

impl ObjectStore<'_> {
    /// Sends a small object in one piece.
    pub(super) fn put_whole(&self, name: &str, content: &Content<'_>) -> Result<Proof> {
        let digests = digests(content, 0, content.bytes())?;
        let key = self.key(name);
        let ask = Ask::new(Method::Put, &key, "take an object").header(CHECKSUM, &digests.sha256);
        let mut body = content.send(0, content.bytes());
        let response = self.exchange.send(&ask, content.bytes(), &mut body)?;
        self.compare(name, &digests, &response)
    }

    /// Sends a large object in parts; those that lie there already are compared and kept.
    pub(super) fn put_parts(&self, name: &str, content: &Content<'_>) -> Result<Proof> {
        let part = part_size(content.bytes());
        let uploads = self.uploads(&self.key(name))?;
        let of_this = uploads.into_iter().filter(|upload| upload.name == name);
        let newest = of_this.max_by_key(|upload| upload.modified);
        let upload = match newest {
            Some(upload) => upload.handle,
            None => self.begin(name)?,
        };
        let there = self.parts(name, &upload)?;
        let (mut proof, mut list) = (Proof::Given, String::new());
        let mut at = 0;
        for number in 1.. {
            if at >= content.bytes() {
                break;
            }
            let bytes = part.min(content.bytes() - at);
            let digests = digests(content, at, bytes)?;
            let known = there.get(&number).filter(|sent| is_same(sent, &digests, bytes));
            let tag = match known {
                Some(sent) => sent.tag.clone(),
                None => {
                    let (tag, given) =
                        self.put_part(name, &upload, number, (content, at, bytes), &digests)?;
                    if given == Proof::Owed {
                        proof = Proof::Owed;
                    }
                    tag
                }
            };
            list.push_str(&format!(
                "<Part><ChecksumSHA256>{}</ChecksumSHA256><ETag>{}</ETag>\
                 <PartNumber>{number}</PartNumber></Part>",
                digests.sha256,
                escaped(&tag),
            ));
            at += bytes;
        }
        self.complete(name, &upload, &list)?;
        Ok(proof)
    }

    fn begin(&self, name: &str) -> Result<String> {
        let key = self.key(name);
        let ask = Ask::new(Method::Post, &key, "begin an upload")
            .query("uploads", "")
            .header("x-amz-checksum-algorithm", "SHA256");
        let text = self.exchange.text(&ask)?;
        xml::first(&text, "UploadId").ok_or_else(|| self.puzzled("begin an upload").into())
    }

    fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        (content, at, bytes): (&Content<'_>, u64, u64),
        digests: &Digests,
    ) -> Result<(String, Proof)> {
        let key = self.key(name);
        let ask = Ask::new(Method::Put, &key, "take a part of an upload")
            .query("partNumber", number.to_string())
            .query("uploadId", upload)
            .header(CHECKSUM, &digests.sha256);
        let response = self.exchange.send(&ask, bytes, &mut content.send(at, bytes))?;
        let proof = self.compare(name, digests, &response)?;
        let tag = tag(&response).ok_or_else(|| self.puzzled("take a part of an upload"))?;
        Ok((tag, proof))
    }

    fn complete(&self, name: &str, upload: &str, list: &str) -> Result<()> {
        let key = self.key(name);
        let ask = Ask::new(Method::Post, &key, "complete an upload").query("uploadId", upload);
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{list}\
             </CompleteMultipartUpload>"
        );
        let mut bytes = body.as_bytes();
        let response = self.exchange.send(&ask, body.len() as u64, &mut bytes)?;
        self.exchange.read(response).map(drop)
    }

    /// Uploads in parts that have not ended, of keys that begin so.
    pub(super) fn uploads(&self, prefix: &str) -> Result<Vec<Unfinished>> {
        let (mut found, mut from) = (Vec::new(), (String::new(), String::new()));
        loop {
            let mut ask = Ask::new(Method::Get, "", "list uploads")
                .query("uploads", "")
                .query("prefix", prefix);
            if !from.0.is_empty() {
                ask = ask.query("key-marker", &from.0).query("upload-id-marker", &from.1);
            }
            let text = self.exchange.text(&ask)?;
            for upload in xml::all(&text, "Upload") {
                let (Some(key), Some(handle)) =
                    (xml::first(upload, "Key"), xml::first(upload, "UploadId"))
                else {
                    continue;
                };
                let Some(name) = key.strip_prefix(&self.prefix).map(str::to_string) else {
                    continue;
                };
                let modified = time(upload, "Initiated");
                found.push(Unfinished { name, handle, modified });
            }
            let next = |name: &str| xml::first(&text, name).unwrap_or_default();
            if next("IsTruncated") != "true" || next("NextKeyMarker").is_empty() {
                return Ok(found);
            }
            from = (next("NextKeyMarker"), next("NextUploadIdMarker"));
        }
    }

    /// The parts of an upload that lie there, by number.
    fn parts(&self, name: &str, upload: &str) -> Result<std::collections::BTreeMap<u32, Sent>> {
        let (mut found, mut from) = (std::collections::BTreeMap::new(), String::new());
        let key = self.key(name);
        loop {
            let mut ask = Ask::new(Method::Get, &key, "list the parts of an upload")
                .query("uploadId", upload);
            if !from.is_empty() {
                ask = ask.query("part-number-marker", &from);
            }
            let text = self.exchange.text(&ask)?;
            for part in xml::all(&text, "Part") {
                let number = |name: &str| xml::first(part, name).and_then(|it| it.parse().ok());
                let (Some(at), Some(bytes)) = (number("PartNumber"), number("Size")) else {
                    continue;
                };
                let tag = xml::first(part, "ETag").unwrap_or_default();
                let sha256 = xml::first(part, "ChecksumSHA256");
                found.insert(u32::try_from(at).unwrap_or(0), Sent { tag, sha256, bytes });
            }
            let next = |name: &str| xml::first(&text, name).unwrap_or_default();
            if next("IsTruncated") != "true" || next("NextPartNumberMarker") == from {
                return Ok(found);
            }
            from = next("NextPartNumberMarker");
        }
    }

    /// Compares what the store computed with what was sent.
    fn compare(&self, name: &str, digests: &Digests, response: &Response<Body>) -> Result<Proof> {
        let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok());
        let wrong = || damaged(&self.exchange.shown, name, "something else arrived").into();
        // A store that encrypts with keys of its own has tags that are no digest of the content.
        let is_plain = header("x-amz-server-side-encryption").is_none_or(|how| how == "AES256");
        let tag = tag(response).unwrap_or_default().trim_matches('"').to_lowercase();
        let is_digest = tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match header(CHECKSUM) {
            Some(sha256) if sha256 == digests.sha256 => Ok(Proof::Given),
            Some(_) => Err(wrong()),
            None if is_plain && is_digest && tag == digests.md5 => Ok(Proof::Given),
            None => Ok(Proof::Owed),
        }
    }

    fn puzzled(&self, action: &str) -> OffsiteError {
        OffsiteError::Failed {
            place: self.exchange.shown.clone(),
            action: action.into(),
            reason: "its answer is not that of an object store".into(),
        }
    }
}

/// Whether an object is sent in one piece.
pub(super) fn is_small(content: &Content<'_>) -> bool {
    content.bytes() <= PART
}

/// Bytes of each part but the last: always the same for the same object, so that an upload can be
/// gone on with.
fn part_size(bytes: u64) -> u64 {
    PART.max(bytes.div_ceil(PARTS).div_ceil(MIB) * MIB)
}

fn is_same(sent: &Sent, digests: &Digests, bytes: u64) -> bool {
    let of_content = match &sent.sha256 {
        Some(sha256) => *sha256 == digests.sha256,
        None => sent.tag.trim_matches('"').to_lowercase() == digests.md5,
    };
    of_content && sent.bytes == bytes
}

fn tag(response: &Response<Body>) -> Option<String> {
    Some(response.headers().get("etag")?.to_str().ok()?.to_string())
}

/// A time of an answer; where there is none, now is long ago enough to be left alone.
pub(super) fn time(xml: &str, name: &str) -> DateTime<Utc> {
    let text = xml::first(xml, name).unwrap_or_default();
    DateTime::parse_from_rfc3339(&text).map_or(DateTime::<Utc>::MAX_UTC, |time| time.to_utc())
}

fn digests(content: &Content<'_>, at: u64, bytes: u64) -> Result<Digests> {
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    let mut reader = content.peek(at, bytes);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| OffsiteError::Failed {
                place: "this machine".into(),
                action: "read the archive".into(),
                reason: error.to_string(),
            })?,
        };
        if count == 0 {
            break;
        }
        sha256.update(&buffer[..count]);
        md5.update(&buffer[..count]);
    }
    let md5 = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Digests { sha256: base64(&sha256.finalize()), md5 })
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0)];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_standard_has_it() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn parts_are_never_too_many_nor_too_small() {
        for bytes in [1, PART, PART + 1, 78 << 30, 79 << 30, 1 << 40, 5 << 40] {
            let part = part_size(bytes);
            assert!(bytes.div_ceil(part) <= PARTS && part >= PART, "{bytes}: {part}");
        }
    }
}
