//! A connection to systemd: over the bus, or to its own socket where there is no bus.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use super::wire::{self, Call, Kind, Message};

/// Longer than a systemd that works lets anybody wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// The system's bus, where `DBUS_SYSTEM_BUS_ADDRESS` names no other (D-Bus specification, "Well-known Message Bus
/// Instances"), and the socket that systemd itself listens on, for root only.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
const SYSTEM_DIRECT: &str = "/run/systemd/private";
/// Who we are, by the socket's credentials, as sd-bus says it; the answer ends with the line that begins with OK.
const HANDSHAKE: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
const LONGEST_ANSWER: usize = 1024;

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection.
    Broken(String),
    /// systemd's answer: the error's name, and its text.
    Refused { name: String, text: String },
}

pub(super) struct Bus {
    stream: UnixStream,
    /// Without a bus between: nobody else can send here.
    direct: bool,
    serial: u32,
    /// Signals that came while an answer was awaited.
    signals: Vec<Message>,
}

impl Bus {
    /// Connects to the system's bus, or the calling user's; else to systemd itself. The error says what was tried.
    pub fn open(user: bool) -> Result<Bus, Failure> {
        let (buses, direct) = if user { user_sockets() } else { system_sockets() };
        let buses = buses.iter().flat_map(|list| list.split(';')).map(|address| (address.to_owned(), false));
        let mut tried = Vec::new();
        for (address, direct) in buses.chain(direct.map(|path| (format!("unix:path={path}"), true))) {
            match Bus::connect(&address, direct) {
                Ok(bus) => return Ok(bus),
                Err(error) => tried.push(format!("{address}: {error}")),
            }
        }
        Err(Failure::Broken(tried.join(", ")))
    }

    fn connect(address: &str, direct: bool) -> io::Result<Bus> {
        let stream = UnixStream::connect_addr(&socket(address)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut bus = Bus { stream, direct, serial: 0, signals: Vec::new() };
        bus.authenticate()?;
        if !direct {
            let hello = Call {
                destination: "org.freedesktop.DBus",
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member: "Hello",
                signature: "",
                body: wire::Writer::default(),
            };
            bus.call(&hello).map_err(|failure| io::Error::other(failure.to_string()))?;
        }
        Ok(bus)
    }

    fn authenticate(&mut self) -> io::Result<()> {
        self.stream.write_all(HANDSHAKE)?;
        let mut answer = Vec::new();
        loop {
            let mut byte = [0];
            // One by one: what follows the last line is a message.
            self.stream.read_exact(&mut byte)?;
            answer.extend(byte);
            let Some(line) = answer.strip_suffix(b"\r\n") else {
                if answer.len() > LONGEST_ANSWER {
                    return Err(io::Error::other("it does not speak D-Bus"));
                }
                continue;
            };
            match line {
                _ if line.starts_with(b"OK ") => return Ok(()),
                _ if line.starts_with(b"DATA") => answer.clear(),
                _ => return Err(io::Error::other(format!("it says {}", String::from_utf8_lossy(line)))),
            }
        }
    }

    /// Whether nobody but systemd can send here.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Calls a method, and waits for the answer.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Message, Failure> {
        self.serial += 1;
        let bytes = call.bytes(self.serial, self.direct);
        self.stream.write_all(&bytes).map_err(|error| broken(call.member, &error))?;
        loop {
            let message = self.receive().map_err(|error| broken(call.member, &error))?;
            match message.kind {
                Kind::Signal => self.signals.push(message),
                Kind::Return if message.answers == self.serial => return Ok(message),
                Kind::Error if message.answers == self.serial => {
                    let text = message.body().text().unwrap_or_default();
                    return Err(Failure::Refused { name: message.name, text });
                }
                _ => {}
            }
        }
    }

    /// Waits for a signal in which `wanted` finds something.
    pub fn signal<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> Result<T, Failure> {
        loop {
            let waiting = std::mem::take(&mut self.signals);
            if let Some(found) = waiting.iter().find_map(&wanted) {
                return Ok(found);
            }
            let message = self.receive().map_err(|error| broken("a signal", &error))?;
            self.signals.push(message);
        }
    }

    /// The next message that is not somebody's call.
    fn receive(&mut self) -> io::Result<Message> {
        let unreadable = || io::Error::other("a message cannot be read");
        loop {
            let mut bytes = vec![0; wire::FIXED];
            self.stream.read_exact(&mut bytes)?;
            bytes.resize(wire::length(&bytes).ok_or_else(unreadable)?, 0);
            self.stream.read_exact(bytes.get_mut(wire::FIXED..).unwrap_or_default())?;
            if bytes.get(1) != Some(&(Kind::Call as u8)) {
                return Message::read(&bytes).ok_or_else(unreadable);
            }
        }
    }
}

fn broken(what: &str, error: &io::Error) -> Failure {
    let slow = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    Failure::Broken(match slow {
        true => format!("{what}: no answer for {} s", PATIENCE.as_secs()),
        false => format!("{what}: {error}"),
    })
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Broken(why) => f.write_str(why),
            Failure::Refused { name, text } => write!(f, "{name} ({text})"),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    String::from_utf8(value.into_vec()).ok().filter(|value| !value.is_empty())
}

fn system_sockets() -> (Vec<String>, Option<String>) {
    let bus = variable("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| SYSTEM_BUS.to_owned());
    (vec![bus], Some(SYSTEM_DIRECT.to_owned()))
}

/// Of a user both are in the runtime directory, which is where systemd puts it if the environment does not say.
fn user_sockets() -> (Vec<String>, Option<String>) {
    let uid = rustix::process::geteuid().as_raw();
    let dir = variable("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{uid}"));
    let mut buses: Vec<String> = variable("DBUS_SESSION_BUS_ADDRESS").into_iter().collect();
    buses.push(format!("unix:path={dir}/bus"));
    (buses, Some(format!("{dir}/systemd/private")))
}

/// The socket of an address such as `unix:path=/run/dbus/system_bus_socket,guid=…`.
fn socket(address: &str) -> io::Result<SocketAddr> {
    let options = address.strip_prefix("unix:").unwrap_or_default().split(',');
    let value = |key: &str| options.clone().find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
    match (value("path").and_then(unescape), value("abstract").and_then(unescape)) {
        (Some(path), _) => SocketAddr::from_pathname(std::ffi::OsString::from_vec(path)),
        (None, Some(name)) => SocketAddr::from_abstract_name(name),
        (None, None) => Err(io::Error::other("neither unix:path nor unix:abstract")),
    }
}

/// `%2c` is a comma (D-Bus specification, "Server Addresses").
fn unescape(text: &str) -> Option<Vec<u8>> {
    let (plain, rest) = match text.split_once('%') {
        None => return Some(text.as_bytes().to_vec()),
        Some(parts) => parts,
    };
    let byte = u8::from_str_radix(rest.get(..2)?, 16).ok()?;
    Some([plain.as_bytes(), &[byte], &unescape(rest.get(2..)?)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_specification_has_them() {
        let path = |address| socket(address).expect("an address").as_pathname().map(|path| path.to_owned());
        assert_eq!(path("unix:path=/run/bus,guid=0123"), Some("/run/bus".into()));
        assert_eq!(path("unix:guid=1,path=/run/a%2cb"), Some("/run/a,b".into()));
        let name = socket("unix:abstract=/tmp/x").expect("an address");
        assert_eq!(name.as_abstract_name(), Some(&b"/tmp/x"[..]));
        for bad in ["", "tcp:host=localhost", "unix:tmpdir=/tmp", "unix:path=/a%2", "unix:path=/a%zz"] {
            assert!(socket(bad).is_err(), "{bad}");
        }
    }
}
