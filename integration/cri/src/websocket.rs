//! As much of RFC 6455 as the streaming server of a CRI needs: binary messages over plain TCP, with a subprotocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Sends; there may be several.
pub struct Sender(TcpStream);

pub struct Receiver(BufReader<TcpStream>);

/// Where a URL of the streaming server leads: `http://HOST:PORT/PATH`.
pub fn connect(url: &str, protocol: &str) -> Result<(Sender, Receiver), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url} is not http"))?;
    let (host, path) = rest.split_once('/').ok_or_else(|| format!("{url} has no path"))?;
    let failed = |error: std::io::Error| format!("{url}: {error}");
    let mut stream = TcpStream::connect(host).map_err(failed)?;
    // The key would show a proxy that answers from a cache; there is none.
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: c2FuZHJ1biB0ZXN0cyBydW4=\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut reader = BufReader::new(stream.try_clone().map_err(failed)?);
    let mut status = String::new();
    reader.read_line(&mut status).map_err(failed)?;
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(failed)? > 2 {
        line.clear();
    }
    if !status.starts_with("HTTP/1.1 101") {
        let mut body = String::new();
        // What it says is more than what it fails with.
        reader.read_to_string(&mut body).unwrap_or_default();
        return Err(format!("{url}: {} {}", status.trim(), body.trim()));
    }
    Ok((Sender(stream), Receiver(reader)))
}

impl Sender {
    pub fn another(&self) -> Sender {
        Sender(self.0.try_clone().expect("cannot share the connection"))
    }

    /// One binary message. A client has to mask; a mask of zeroes leaves it as it is.
    pub fn send(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![0x82];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                let length = u16::try_from(payload.len()).expect("messages are smaller than 64 KiB");
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame)
    }
}

impl Receiver {
    /// The next message; none when the server has closed.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let [first, second] = self.exactly::<2>()?;
            let length = match second & 0x7f {
                126 => u16::from_be_bytes(self.exactly()?).into(),
                127 => u64::from_be_bytes(self.exactly()?),
                small => small.into(),
            };
            let start = message.len();
            message.resize(start + usize::try_from(length).ok()?, 0);
            self.0.read_exact(&mut message[start..]).ok()?;
            match first & 0x0f {
                // Close.
                8 => return None,
                // Ping and pong.
                9 | 10 => message.truncate(start),
                _ if first & 0x80 != 0 => return Some(message),
                _ => {}
            }
        }
    }

    fn exactly<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}
