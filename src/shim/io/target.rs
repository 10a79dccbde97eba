//! Where containerd wants a stream to lead: a path, or a URI (containerd, "core/runtime/v2/README.md", "Logging").

use std::path::PathBuf;

use crate::error::{Error, Kind, Result};

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Nowhere: nobody asked for it.
    Nothing,
    /// A path without a scheme, or `fifo://`: what is there already.
    Path(PathBuf),
    /// `file://`: appended to, and made where it is missing.
    File(PathBuf),
    /// `binary://` and `binary-v2://`: a program that reads.
    Logger(Program),
}

/// A program that takes what the process writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// Whether it must say that it is ready; else its closing of the descriptor says so, too (`binary://`).
    pub must_tell: bool,
}

impl Target {
    /// Reads what a request has.
    ///
    /// # Errors
    /// `Invalid` for a scheme that nobody knows, and for a path that is not absolute.
    pub fn parse(stream: &str) -> Result<Self> {
        if stream.is_empty() {
            return Ok(Self::Nothing);
        }
        let Some((scheme, rest)) = scheme(stream) else { return Ok(Self::Path(absolute(stream, stream)?)) };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = absolute(stream, &decode(path.split('#').next().unwrap_or_default(), false))?;
        match scheme {
            "fifo" => Ok(Self::Path(path)),
            "file" => Ok(Self::File(path)),
            "binary" | "binary-v2" => Ok(Self::Logger(Program {
                path,
                arguments: arguments(query),
                must_tell: scheme == "binary-v2",
            })),
            _ => Err(invalid(stream, format!("nobody knows the scheme {scheme:?}"))
                .fix("use the path of a fifo, or a URI that begins with file://, binary:// or binary-v2://")),
        }
    }
}

impl Target {
    /// The logger, if it is one.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Self::Logger(program) => Some(program),
            _ => None,
        }
    }
}

/// `scheme://rest` and `scheme:rest`; a path has none.
fn scheme(stream: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = stream.split_once(':')?;
    let named = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    named.then(|| (scheme, rest.strip_prefix("//").unwrap_or(rest)))
}

/// Each `key=value` is two arguments, the second one empty where there is no value.
fn arguments(query: &str) -> Vec<String> {
    let query = query.split('#').next().unwrap_or_default();
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        [decode(key, true), decode(value, true)]
    };
    query.split('&').filter(|pair| !pair.is_empty()).flat_map(pair).collect()
}

/// Undoes percent-encoding (RFC 3986, section 2.1), and in a query that of spaces.
fn decode(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, left) = match (first, code) {
            (b'%', Some(code)) => (code, tail.get(2..).unwrap_or_default()),
            (b'+', _) if plus_is_space => (b' ', tail),
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn absolute(stream: &str, path: &str) -> Result<PathBuf> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(PathBuf::from(path));
    }
    Err(invalid(stream, "its path is not absolute"))
}

fn invalid(stream: &str, why: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, format!("cannot use the stream {stream:?}"), why)
}
