//! Names of containers.

use crate::error::{Error, Kind, Result};

/// The longest id: what is left of a file name.
const LONGEST_ID: usize = 255;

/// Somebody has it.
pub(super) fn taken(id: &str) -> Error {
    Error::new(Kind::Exists, format!("container with id {id} already exists"), "")
        .fix(format!("choose another id, or remove it with `sandrun delete --force {id}`"))
}

/// Nobody has it.
pub(super) fn missing(id: &str) -> Error {
    Error::new(Kind::NotFound, format!("container {id:?} does not exist"), "")
}

/// A name that can be a directory's and nothing else.
pub(super) fn check(id: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    if !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(plain) && id != "." && id != ".." {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("{id:?} is not a container id"), "")
        .fix(format!("use up to {LONGEST_ID} letters, digits and the characters _ + . -")))
}
