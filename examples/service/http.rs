//! As much of HTTP/1.1 as the service and its client need: one request per connection.

use crate::Result;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const LONGEST: u64 = 64 * 1024;

/// A request as the service sees it.
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: String,
}

/// Status and body of an answer.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

pub fn read_request(stream: &TcpStream) -> Result<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (first, body) = read_message(stream)?;
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    Ok(Request { method: method.into(), path: path.into(), body })
}

pub fn answer(mut stream: &TcpStream, answer: &Answer) -> Result<()> {
    let Answer { status, body } = answer;
    let reason = if *status == 200 { "OK" } else { "Error" };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    Ok(stream.write_all(text.as_bytes())?)
}

/// Sends a POST and waits for the whole answer.
pub fn post(address: SocketAddr, path: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes())?;
    let (first, body) = read_message(&stream)?;
    let status = first.split_whitespace().nth(1).ok_or("an answer without a status")?;
    Ok(Answer { status: status.parse()?, body })
}

/// The first line and the body.
fn read_message(stream: &TcpStream) -> Result<(String, String)> {
    let mut reader = BufReader::new(stream.take(LONGEST));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err("the connection ended within a message".into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, String::from_utf8(body)?))
}
