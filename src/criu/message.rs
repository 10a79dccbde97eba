//! Protocol Buffers, as far as CRIU's messages need them: numbers, texts, and messages within messages.
//!
//! A crate for it would bring a code generator or a derive macro, for three messages with flat fields
//! (`encoding` of the Protocol Buffers documentation: a field is its number and wire type, then its value).

/// A message that is being written.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

const VARINT: u64 = 0;
const BYTES: u64 = 2;

impl Message {
    /// Adds a number, an enumeration's value or a truth value.
    #[must_use]
    pub fn number(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value);
        self
    }

    /// Adds a truth value where it holds: absent means false.
    #[must_use]
    pub fn flag(self, field: u32, value: bool) -> Self {
        if value { self.number(field, 1) } else { self }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// Adds a message.
    #[must_use]
    pub fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// What goes over the socket.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The value of a field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

/// Reads a message: its fields in order. The last of a number counts.
///
/// # Errors
/// When the bytes are none.
pub fn fields(mut bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, &'static str> {
    const CUT: &str = "the message is cut off";
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = take_varint(&mut bytes).ok_or(CUT)?;
        let field = u32::try_from(key >> 3).map_err(|_| "the message has a field without a number")?;
        let value = match key & 7 {
            VARINT => Value::Number(take_varint(&mut bytes).ok_or(CUT)?),
            BYTES => {
                let length = take_varint(&mut bytes).ok_or(CUT)?;
                let length = usize::try_from(length).map_err(|_| CUT)?;
                let (value, rest) = bytes.split_at_checked(length).ok_or(CUT)?;
                bytes = rest;
                Value::Bytes(value)
            }
            _ => return Err("the message has a field of another kind"),
        };
        fields.push((field, value));
    }
    Ok(fields)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_documentation() {
        assert_eq!(Message::default().number(1, 150).as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").as_bytes(), b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert!(Message::default().flag(4, false).as_bytes().is_empty());
    }

    #[test]
    fn what_was_written_is_read() {
        let message = Message::default().number(1, u64::MAX).text(63, "x").flag(2, true);
        let expected = [(1, Value::Number(u64::MAX)), (63, Value::Bytes(b"x")), (2, Value::Number(1))];
        assert_eq!(fields(message.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for bytes in [&[0x08][..], &[0x12, 0x05, b'x'], &[0x0d, 0, 0, 0, 0], &[0xff; 12]] {
            assert!(fields(bytes).is_err(), "{bytes:?}");
        }
    }
}
