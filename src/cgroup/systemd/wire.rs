//! Messages of D-Bus as bytes, as far as systemd's calls need them (D-Bus specification, "Type System" and
//! "Message Protocol"). Little endian; what comes in is read within its bounds, whoever sent it.

/// What a message is (header byte 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call = 1,
    Return = 2,
    Error = 3,
    Signal = 4,
}

/// No message that systemd sends here comes near it; the specification allows 128 MiB.
const LONGEST: usize = 1 << 20;
/// The part of the header that says how long the rest is.
pub(super) const FIXED: usize = 16;

/// Values one after the other, each at its alignment.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// `u`, and `b`.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    /// `t`
    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_le_bytes());
    }

    /// `s` and `o`. The receiver refuses a NUL within.
    pub fn text(&mut self, text: &str) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes.extend(text.bytes());
        self.byte(0);
    }

    /// `g`
    pub fn signature(&mut self, signature: &str) {
        self.byte(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.bytes.extend(signature.bytes());
        self.byte(0);
    }

    /// `a`: its length does not count the padding before the first element, which is there without one, too.
    pub fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// `(…)`
    pub fn structure(&mut self, members: impl FnOnce(&mut Self)) {
        self.align(8);
        members(self);
    }

    /// `v`
    pub fn variant(&mut self, signature: &str, value: impl FnOnce(&mut Self)) {
        self.signature(signature);
        value(self);
    }
}

/// A method of an object, and what it is called with.
pub(super) struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
    pub body: Writer,
}

impl Call<'_> {
    /// The message, as the call with this number; without a destination where there is no bus between.
    pub fn bytes(&self, serial: u32, direct: bool) -> Vec<u8> {
        let mut message = Writer::default();
        for byte in [b'l', Kind::Call as u8, 0, 1] {
            message.byte(byte);
        }
        message.u32(u32::try_from(self.body.bytes.len()).unwrap_or(u32::MAX));
        message.u32(serial);
        let fields = [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.member),
            (6, "s", if direct { "" } else { self.destination }),
            (8, "g", self.signature),
        ];
        message.array(8, |message| {
            for (code, kind, text) in fields.into_iter().filter(|(.., text)| !text.is_empty()) {
                message.structure(|message| {
                    message.byte(code);
                    message.variant(kind, |message| match kind {
                        "g" => message.signature(text),
                        _ => message.text(text),
                    });
                });
            }
        });
        message.align(8);
        message.bytes.extend(&self.body.bytes);
        message.bytes
    }
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub kind: Kind,
    /// The call that it answers; 0 for a signal.
    pub answers: u32,
    /// The connection that sent it; empty where there is no bus between.
    pub sender: String,
    /// The signal's name, or the error's.
    pub name: String,
    body: Vec<u8>,
}

/// The length of a message whose header begins so; `None` for one that cannot be read.
pub(super) fn length(fixed: &[u8]) -> Option<usize> {
    if fixed.first() != Some(&b'l') {
        return None;
    }
    let mut header = Reader { bytes: fixed, at: 4 };
    let body = header.u32()? as usize;
    header.u32()?;
    let fields = header.u32()? as usize;
    let length = FIXED.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= LONGEST).then_some(length)
}

impl Message {
    /// Reads a whole message; `None` for one that is none, or not of a kind known here.
    pub fn read(bytes: &[u8]) -> Option<Message> {
        let kind = match bytes.get(1)? {
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => return None,
        };
        let mut message =
            Message { kind, answers: 0, sender: String::new(), name: String::new(), body: Vec::new() };
        let mut reader = Reader { bytes, at: 12 };
        let end = FIXED.checked_add(reader.u32()? as usize)?;
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            match (code, &*reader.signature()?) {
                (3 | 4, "s") => message.name = reader.text()?,
                (5, "u") => message.answers = reader.u32()?,
                (7, "s") => message.sender = reader.text()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "u") => drop(reader.u32()?),
                (_, "g") => drop(reader.signature()?),
                _ => return None,
            }
        }
        reader.align(8)?;
        message.body = bytes.get(reader.at..)?.to_vec();
        Some(message)
    }

    /// Its values, in order.
    pub fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0 }
    }
}

/// Takes values out of bytes; `None` beyond their end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// `s` and `o`.
    pub fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        self.terminated(length)
    }

    /// `g`
    pub fn signature(&mut self) -> Option<String> {
        let length = self.byte()?.into();
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `StartUnit("a.scope", "fail")` as libdbus writes it.
    #[test]
    fn a_call_is_written_as_others_write_it() {
        let mut body = Writer::default();
        body.text("a.scope");
        body.text("fail");
        let call =
            Call { destination: "d.e", path: "/p", interface: "i.f", member: "M", signature: "ss", body };
        let mut expected: Vec<u8> = vec![b'l', 1, 0, 1, 21, 0, 0, 0, 7, 0, 0, 0, 72, 0, 0, 0];
        expected.extend(b"\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0");
        expected.extend(b"\x02\x01s\0\x03\0\0\0i.f\0\0\0\0\0");
        expected.extend(b"\x03\x01s\0\x01\0\0\0M\0\0\0\0\0\0\0");
        expected.extend(b"\x06\x01s\0\x03\0\0\0d.e\0\0\0\0\0");
        expected.extend(b"\x08\x01g\0\x02ss\0");
        expected.extend(b"\x07\0\0\0a.scope\0\x04\0\0\0fail\0");
        assert_eq!(call.bytes(7, false), expected);
        assert_eq!(length(&expected), Some(expected.len()));
    }

    fn reply() -> Vec<u8> {
        let mut message = Writer::default();
        [b'l', Kind::Return as u8, 1, 1].into_iter().for_each(|byte| message.byte(byte));
        message.u32(11);
        message.u32(9);
        message.array(8, |message| {
            message.structure(|message| {
                message.byte(5);
                message.variant("u", |message| message.u32(7));
            });
            message.structure(|message| {
                message.byte(7);
                message.variant("s", |message| message.text(":1.3"));
            });
        });
        message.align(8);
        message.text("/job/1");
        message.bytes
    }

    #[test]
    fn an_answer_is_read() {
        let bytes = reply();
        assert_eq!(length(&bytes), Some(bytes.len()));
        let message = Message::read(&bytes).expect("a message");
        assert_eq!((message.kind, message.answers, &*message.sender), (Kind::Return, 7, ":1.3"));
        assert_eq!(message.body().text().as_deref(), Some("/job/1"));
        assert_eq!(message.body().u32(), Some(6), "read from the start each time");
    }

    /// Whatever is cut off or changed, nothing is read beyond the bytes, and nothing panics.
    #[test]
    fn broken_messages_are_survived() {
        let bytes = reply();
        for cut in 0..bytes.len() {
            if let Some(message) = Message::read(&bytes[..cut]) {
                assert_eq!(message.body().text(), None, "cut at {cut}");
            }
            for value in [0, 1, 0x7f, 0xff] {
                let mut spoilt = bytes.clone();
                spoilt[cut] = value;
                length(&spoilt);
                Message::read(&spoilt).map(|message| message.body().text());
            }
        }
        assert_eq!(length(&[b'B'; FIXED]), None, "the other byte order");
        assert_eq!(length(&[&[b'l'][..], &[0xff; FIXED]].concat()), None, "longer than any");
    }
}
