//! One question to the running containerd: which handlers it has. `runtime.v1.RuntimeService/Status` with `verbose` answers
//! with its whole CRI configuration, from 1.6 on.
//!
//! A gRPC call of one message each way is a few frames of HTTP/2 (RFC 9113), whose header block needs no compression
//! (RFC 7541, 6.2.2) and whose answer's headers need not be read: an error has no data. The libraries for it are larger than
//! this program.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::handlers::Setup;
use crate::error::{Context, Error, Kind, Result};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `StatusRequest { verbose: true }` behind the five bytes of a gRPC message: not compressed, two bytes long.
const STATUS_REQUEST: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
/// The window that a peer has without being told; an answer that is larger would have to be asked for in parts.
const WINDOW: usize = 65535;

/// The CRI configuration that containerd runs with.
#[derive(Debug, Clone, PartialEq)]
pub struct Running(Value);

impl Running {
    /// Asks on its socket.
    ///
    /// # Errors
    /// When nobody answers within `patience`, or the answer is none of containerd's CRI.
    pub fn ask(socket: &Path, patience: Duration) -> Result<Running> {
        let what = || format!("cannot ask containerd on {}", socket.display());
        let mut stream = UnixStream::connect(socket).context(what)?;
        stream.set_read_timeout(Some(patience)).context(what)?;
        stream.set_write_timeout(Some(patience)).context(what)?;
        stream.write_all(&request()).context(what)?;
        let message = answer(&mut stream).context(what)?;
        let config = config(&message).ok_or_else(|| {
            Error::new(Kind::Failed, what(), "the answer has no configuration of the CRI plugin")
        })?;
        Ok(Running(serde_json::from_slice(config).context(what)?))
    }

    /// The handlers that it does not have as `setup` has them.
    pub fn lacks(&self, setup: &Setup) -> Vec<&'static str> {
        let runtimes = self.0.get("containerd").and_then(|containerd| containerd.get("runtimes"));
        let in_place = |handler: &&super::handlers::Handler| {
            let runtime = runtimes.and_then(|runtimes| runtimes.get(handler.name));
            let field = |name: &str| runtime.and_then(|runtime| runtime.get(name));
            let (option, value) = setup.option(**handler);
            let options = field("options").and_then(|options| options.get(option)).and_then(Value::as_str);
            field("runtimeType").and_then(Value::as_str) == Some(setup.runtime_type())
                && options == Some(&*value.to_string_lossy())
        };
        setup.handlers.iter().filter(|handler| !in_place(handler)).map(|handler| handler.name).collect()
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

fn request() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/runtime.v1.RuntimeService/Status"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    // A literal without indexing, with a new name; all are shorter than the 127 bytes that one length byte can say.
    let literal = |text: &str| {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        [&[length], text.as_bytes()].concat()
    };
    let block: Vec<u8> =
        fields.iter().flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat()).collect();
    [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, END_HEADERS, 1, &block),
        frame(DATA, END_STREAM, 1, STATUS_REQUEST),
    ]
    .concat()
}

/// The message of the answer, without its five bytes in front.
fn answer(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let other = std::io::Error::other::<&str>;
    let mut message = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, _, _, _, number] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > WINDOW || message.len() + length > WINDOW {
            return Err(other("it answers with more than 64 kB"));
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload))?,
            GO_AWAY => return Err(other("it ends the connection")),
            DATA if number == 1 => message.append(&mut payload),
            _ => {}
        }
        if number == 1 && kind <= HEADERS && flags & END_STREAM != 0 {
            break;
        }
    }
    match message.split_at_checked(5) {
        Some((head, rest)) if head.first() == Some(&0) => Ok(rest.to_vec()),
        _ => Err(other("it has no CRI service, or refuses the question")),
    }
}

/// `info["config"]` of a StatusResponse: field 2, entries of a map of strings.
fn config(message: &[u8]) -> Option<&[u8]> {
    let entries = fields(message).filter(|(number, _)| *number == 2);
    let pairs = entries.map(|(_, entry)| {
        let part = |wanted| fields(entry).find(|(number, _)| *number == wanted).map(|(_, value)| value);
        (part(1), part(2))
    });
    pairs.filter(|(key, _)| *key == Some(b"config")).find_map(|(_, value)| value)
}

/// The fields of a protobuf message that have a length; one of another kind ends the list, since there is none here.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, rest) = varint(message)?;
        let (length, rest) = varint(rest).filter(|_| tag & 7 == 2)?;
        let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        message = rest;
        Some((tag >> 3, value))
    })
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_found_in_the_answer() {
        let field = |number: u8, value: &[u8]| {
            [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
        };
        let entry = |key: &[u8], value: &[u8]| field(2, &[field(1, key), field(2, value)].concat());
        let message = [field(1, b"status"), entry(b"golang", b"x"), entry(b"config", b"{}")].concat();
        assert_eq!(config(&message), Some(b"{}".as_slice()));
        assert_eq!(config(&message[..message.len() - 1]), None);
        assert_eq!(config(&[0xff; 20]), None);
    }
}
