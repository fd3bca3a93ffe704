//! The bare socket, and the least that can log in on it.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailbearer::Protocol;

use super::{Client, Failed, LoggedIn, Setup, Stream, noop_by_hand, read_reply};

struct Bare(Setup);

struct Floor(Setup);

struct Open {
    stream: Stream,
    protocol: Protocol,
}

pub(super) fn bare(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    Ok(Box::new(Bare(setup)))
}

pub(super) fn floor(setup: Setup) -> Result<Box<dyn Client>, Failed> {
    Ok(Box::new(Floor(setup)))
}

impl Client for Bare {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        Ok(Box::new(Open { stream: self.0.connect()?, protocol: self.0.protocol }))
    }
}

impl Client for Floor {
    fn login(&self) -> Result<Box<dyn LoggedIn + '_>, Failed> {
        let setup = &self.0;
        let mut stream = setup.connect()?;
        let mut buffer = [0; 4096];
        read_reply(&mut stream, &mut buffer, |_| true)?;
        let (command, line_most, good): (_, _, &[u8]) = match setup.protocol {
            Protocol::Imap => ("A1 AUTHENTICATE XOAUTH2", usize::MAX, b"A1 OK"),
            Protocol::Pop3 => ("AUTH XOAUTH2", 255, b"+OK"),
            Protocol::Smtp => {
                stream.write_all(b"EHLO localhost\r\n")?;
                read_reply(&mut stream, &mut buffer, is_last_of_smtp)?;
                ("AUTH XOAUTH2", 512, b"235")
            }
        };
        let response = STANDARD.encode(setup.message());
        let mut line = format!("{command} {response}\r\n");
        if line.len() > line_most {
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            read_reply(&mut stream, &mut buffer, |_| true)?;
            line = response + "\r\n";
        }
        stream.write_all(line.as_bytes())?;
        let is_verdict = |line: &[u8]| setup.protocol != Protocol::Imap || !line.starts_with(b"* ");
        let count = read_reply(&mut stream, &mut buffer, is_verdict)?;
        let reply = buffer[..count].trim_ascii_end();
        let verdict = reply.rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
        if !verdict.starts_with(good) {
            return Err(String::from_utf8_lossy(verdict).into());
        }
        Ok(Box::new(Open { stream, protocol: setup.protocol }))
    }
}

fn is_last_of_smtp(line: &[u8]) -> bool {
    line.get(3) == Some(&b' ')
}

impl LoggedIn for Open {
    fn noop(&mut self) -> Result<String, Failed> {
        noop_by_hand(&mut self.stream, self.protocol)
    }
}
