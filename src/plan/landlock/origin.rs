//! Who asked for a domain, and how they are told that they cannot have it.

use super::rights::{self, Kind};
use super::{Landlock, rights::Unenforceable};
use crate::error::{self, Error};

/// Where a wish comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A field of config.json.
    Field(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Origin {
    pub fn annotation(name: &str) -> Self {
        Origin::Field(format!("annotations[{name:?}]"))
    }

    pub fn flag(name: &'static str) -> Self {
        Origin::Flag(name)
    }

    /// As it stands in the plan.
    pub fn name(&self) -> String {
        match self {
            Origin::Field(field) => field.clone(),
            Origin::Flag(flag) => (*flag).to_owned(),
        }
    }

    pub fn invalid(&self, why: impl Into<String>, fix: &str) -> Error {
        self.error(error::Kind::Invalid, why, fix)
    }

    fn error(&self, kind: error::Kind, why: impl Into<String>, fix: impl Into<String>) -> Error {
        match self {
            Origin::Field(field) => {
                Error::new(kind, "cannot use the Landlock rules", why).at(field.clone()).fix(fix)
            }
            Origin::Flag(flag) => {
                Error::new(kind, format!("cannot use the Landlock rules of {flag}"), why).fix(fix)
            }
        }
    }

    /// What was asked for holds whole, or there is no container.
    pub fn enforceable(&self, domain: Landlock) -> Result<Landlock, Error> {
        match rights::unenforceable(&domain) {
            None => Ok(domain),
            Some(lacking) => Err(self.lacks(&lacking)),
        }
    }

    fn lacks(&self, lacking: &Unenforceable) -> Error {
        let why = match lacking.abi {
            0 => "Landlock is not enabled on this host".to_owned(),
            abi => {
                format!("{} cannot be enforced by Landlock ABI {abi}, which this kernel has", lacking.names)
            }
        };
        let kernel = rights::first_kernel(lacking.needed);
        let fix = match lacking.abi {
            0 => {
                format!("use Linux {kernel} or newer with landlock in the lsm= list, or leave the rules out")
            }
            _ => format!("use Linux {kernel} or newer, or leave the rules out"),
        };
        self.error(error::Kind::Unsupported, why, fix)
    }
}

/// The bits of a list of names, and of plain numbers.
pub(super) fn bits(kind: Kind, list: &[rights::Word], abi: Option<u32>) -> Result<u64, String> {
    list.iter().try_fold(0, |all, word| Ok(all | rights::read(kind, word, abi)?))
}
