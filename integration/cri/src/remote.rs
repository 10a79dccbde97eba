//! Streams of the kubelet's kind: exec and attach (`v4.channel.k8s.io`), and a forwarded port. The first byte of each
//! message names the channel.

use std::io::{Read, Write};

use crate::websocket::{Receiver, Sender, connect};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

const PROTOCOL: &str = "v4.channel.k8s.io";

/// An exec or an attach. What a terminal's window would tell comes in stdin as xterm writes it, `ESC [ 8 ; ROWS ;
/// COLUMNS t`, in one piece. The end of stdin is not passed on: this protocol cannot say it.
pub fn command(url: &str) -> Result<u8, String> {
    let (sender, mut receiver) = connect(url, PROTOCOL)?;
    send_stdin(sender);
    let mut status = None;
    while let Some(message) = receiver.receive() {
        match message.split_first() {
            Some((&STDOUT, data)) => show(&mut std::io::stdout(), data),
            Some((&STDERR, data)) => show(&mut std::io::stderr(), data),
            Some((&STATUS, data)) if !data.is_empty() => {
                status = Some(String::from_utf8_lossy(data).into_owned())
            }
            _ => {}
        }
    }
    exit_code(&status.ok_or_else(|| format!("{url}: it ended without a status"))?)
}

/// A forwarded port: data and errors have a channel each, which begin with the port.
pub fn port(url: &str, port: u16) -> Result<u8, String> {
    let (mut sender, mut receiver) = connect(&format!("{url}?port={port}"), PROTOCOL)?;
    for channel in [0, 1] {
        let first = receiver.receive().ok_or_else(|| format!("{url}: it ended at once"))?;
        let expected = [&[channel][..], &port.to_le_bytes()].concat();
        assert_eq!(first, expected, "a channel begins with its port");
    }
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).map_err(|error| error.to_string())?;
    sender.send(&[&[0], &input[..]].concat()).map_err(|error| error.to_string())?;
    relay(&mut receiver)
}

fn relay(receiver: &mut Receiver) -> Result<u8, String> {
    while let Some(message) = receiver.receive() {
        match message.split_first() {
            Some((0, data)) => show(&mut std::io::stdout(), data),
            Some((_, data)) if !data.is_empty() => return Err(String::from_utf8_lossy(data).into_owned()),
            _ => {}
        }
    }
    Ok(0)
}

fn send_stdin(sender: Sender) {
    let mut sender = sender.another();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            // Two writes may come as one read.
            let (size, typed) = window(&buffer[..count]);
            let size = size.map(|(rows, columns)| format!("{{\"Width\":{columns},\"Height\":{rows}}}"));
            let size = size.map(|size| [&[RESIZE], size.as_bytes()].concat());
            let typed = Some([&[STDIN], typed].concat()).filter(|message| message.len() > 1);
            if size.iter().chain(&typed).any(|message| sender.send(message).is_err()) {
                break;
            }
        }
    });
}

/// The size of the window, where what was read begins with one, and the rest.
fn window(read: &[u8]) -> (Option<(u16, u16)>, &[u8]) {
    let parse = || {
        let end = read.iter().position(|byte| *byte == b't')?;
        let text = std::str::from_utf8(&read[..end]).ok()?.strip_prefix("\x1b[8;")?;
        let (rows, columns) = text.split_once(';')?;
        Some(((rows.parse().ok()?, columns.parse().ok()?), &read[end + 1..]))
    };
    parse().map_or((None, read), |(size, rest)| (Some(size), rest))
}

fn show(to: &mut impl Write, data: &[u8]) {
    to.write_all(data).and_then(|()| to.flush()).expect("cannot pass on what was said");
}

/// A `Status` of Kubernetes: success, an exit code among its causes, or an error.
fn exit_code(status: &str) -> Result<u8, String> {
    if status.contains("\"status\":\"Success\"") {
        return Ok(0);
    }
    let code = status.split_once("\"ExitCode\"").and_then(|(_, rest)| {
        let digits = rest.split_once("\"message\":\"")?.1;
        digits.split('"').next()?.parse().ok()
    });
    code.ok_or_else(|| status.to_owned())
}
