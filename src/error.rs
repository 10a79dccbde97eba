//! What a caller is told when something does not work: one error, printed once, at the edge.
//!
//! An error says what was attempted, where in `config.json` the cause is (if it is there), why it did not
//! work, and what to do about it. It crosses process borders unchanged: the container's init reports the
//! same struct to its parent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of everything that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What decides the exit code, and what a program that links the library can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The input (command line, `config.json`, a file named by the caller) is not valid.
    Invalid,
    /// A container or a file of the caller does not exist.
    NotFound,
    /// The id is taken.
    Exists,
    /// The container is in a state that does not allow the operation.
    WrongState,
    /// Policy or level forbids it.
    Refused,
    /// This host or this version of sandrun cannot do it.
    Unsupported,
    /// The container's program was not found.
    ProgramNotFound,
    /// The container's program cannot be executed.
    ProgramNotExecutable,
    /// A hook said no.
    HookFailed,
    /// The kernel said no.
    Failed,
}

/// What, where, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// Verb and object: `cannot mask /proc/kcore`. Lower case, no full stop.
    pub what: String,
    /// The field, as a path into `config.json`: `linux.namespaces[2].path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The cause; for a kernel call `call(arguments): ERRNO (text)`. May be empty if `what` says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// A sentence for the caller, in the imperative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Error {
    /// An error of `kind`: `what` failed because of `why`.
    pub fn new(kind: Kind, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, what: what.into(), at: None, why: why.into(), fix: None }
    }

    /// Names the field of `config.json` that is the cause.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.at = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds what went wrong when things were put right after this.
    #[must_use]
    pub fn and_then(mut self, second: Error) -> Self {
        self.why = format!("{}; and then: {second}", self.why);
        self
    }

    /// The same for a field of another file than `config.json`.
    #[must_use]
    pub fn of_another_file(mut self) -> Self {
        if let Some(field) = self.at.take() {
            self.what = format!("{}: {field}", self.what);
        }
        self
    }

    /// The process exit code: 126 and 127 as a shell has them, 78 (`EX_CONFIG`) for a refusal, 1 for a hook that
    /// failed, as other runtimes have it, else 125.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::ProgramNotExecutable => 126,
            Kind::ProgramNotFound => 127,
            Kind::Refused => 78,
            Kind::HookFailed => 1,
            _ => 125,
        }
    }

    /// Joins all reasons why something cannot be done into one error; the first decides the kind.
    pub fn all(what: &str, mut errors: Vec<Error>) -> Option<Error> {
        if errors.len() < 2 {
            return errors.pop();
        }
        let kind = errors.first().map_or(Kind::Failed, |first| first.kind);
        let list: Vec<String> =
            errors.iter().enumerate().map(|(i, error)| format!("({}) {error}", i + 1)).collect();
        Some(Error::new(kind, format!("{what}, for {} reasons", list.len()), list.join("; ")))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(at) = &self.at {
            write!(f, ": {at} in config.json")?;
        }
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "; {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The reason inside an [`Error`], before anyone has said what it prevented.
#[derive(Debug)]
pub struct Cause {
    /// Decides the exit code.
    pub kind: Kind,
    /// The text of the reason.
    pub why: String,
}

macro_rules! cause_from {
    ($($source:ty => $kind:expr),* $(,)?) => {$(
        impl From<$source> for Cause {
            fn from(source: $source) -> Self {
                Cause { kind: $kind, why: source.to_string() }
            }
        }
    )*};
}

cause_from! {
    crate::sys::CallError => Kind::Failed,
    rustix::io::Errno => Kind::Failed,
    nix::errno::Errno => Kind::Failed,
    serde_json::Error => Kind::Invalid,
    std::ffi::NulError => Kind::Invalid,
    std::num::ParseIntError => Kind::Invalid,
    &str => Kind::Invalid,
    String => Kind::Invalid,
}

impl From<std::io::Error> for Cause {
    fn from(source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failed,
        };
        Cause { kind, why: source.to_string() }
    }
}

/// Says what a failed call was part of.
pub trait Context<T> {
    /// Turns the cause into an [`Error`] whose `what` is the given text.
    ///
    /// # Errors
    /// Those of `self`, wrapped.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, C: Into<Cause>> Context<T> for std::result::Result<T, C> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| {
            let cause = cause.into();
            Error::new(cause.kind, what(), cause.why)
        })
    }
}
