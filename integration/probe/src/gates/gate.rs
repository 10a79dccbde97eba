//! One door.

use crate::errno::Errno;
use crate::json::Json;
use crate::sys::{Arg, call};

/// A door, and how it is tried.
pub struct Gate {
    /// A short, stable name.
    pub name: &'static str,
    /// What an attacker gets from it.
    pub gives: &'static str,
    /// Errors that only come once every check of permission has passed.
    pub past_the_door: &'static [i32],
    /// The call on which a filter decides, where it is one call.
    pub call: Option<Call>,
    /// What is done to try it; without it, the call is made as it stands.
    steps: Option<fn() -> Result<(), Errno>>,
}

impl Gate {
    /// A gate that takes more than numbers.
    pub const fn new(name: &'static str, gives: &'static str, steps: fn() -> Result<(), Errno>) -> Gate {
        Gate { name, gives, past_the_door: &[], call: None, steps: Some(steps) }
    }

    /// A gate that is one call with numbers.
    pub const fn plain(name: &'static str, gives: &'static str, call: Call) -> Gate {
        Gate { name, gives, past_the_door: &[], call: Some(call), steps: None }
    }

    /// Names the call on which a filter decides; what is a pointer or a descriptor is 0 in it.
    pub const fn by(mut self, call: Call) -> Gate {
        self.call = Some(call);
        self
    }

    /// Names errors that only come once every check of permission has passed.
    pub const fn past(mut self, errnos: &'static [i32]) -> Gate {
        self.past_the_door = errnos;
        self
    }

    /// Tries it.
    pub fn attempt(&self) -> Result<(), Errno> {
        match (self.steps, self.call) {
            (Some(steps), _) => steps(),
            (None, Some(call)) => call.make(),
            (None, None) => Err(Errno(libc::ENOSYS)),
        }
    }
}

/// A system call as a filter sees it.
#[derive(Clone, Copy)]
pub struct Call {
    /// The architecture whose table the number is of, as libseccomp names it.
    arch: &'static str,
    number: libc::c_long,
    arguments: [i64; 6],
    /// What the kernel asks for beside a filter's consent.
    capability: Option<&'static str>,
}

impl Call {
    /// A call of the native table; arguments that are not given are 0.
    pub const fn new(number: libc::c_long, given: &[i64]) -> Call {
        Call::of_table(std::env::consts::ARCH, number, given)
    }

    /// A call of another table.
    pub const fn of_table(arch: &'static str, number: libc::c_long, given: &[i64]) -> Call {
        let mut arguments = [0; 6];
        let (taken, _) = arguments.split_at_mut(given.len());
        taken.copy_from_slice(given);
        Call { arch, number, arguments, capability: None }
    }

    /// Names the capability that the kernel asks for.
    pub const fn needing(mut self, capability: &'static str) -> Call {
        self.capability = Some(capability);
        self
    }

    fn make(&self) -> Result<(), Errno> {
        call(self.number, &mut self.arguments.map(Arg::Int)).map(drop)
    }

    pub fn described(&self) -> Json {
        Json::object([
            ("arch", Json::from(self.arch)),
            ("number", self.number.into()),
            ("arguments", self.arguments.into_iter().map(Json::Int).collect()),
            ("capability", self.capability.into()),
        ])
    }
}
