//! Which machine the process sees (OCI config-linux, "Personality").

use oci_spec::runtime::{LinuxPersonality, LinuxPersonalityDomain};

use super::Notes;
use crate::error::{Error, Kind};

/// The domains of `personality(2)` that the specification has; of flags it has none.
pub(super) fn resolve(asked: &LinuxPersonality, notes: &mut Notes) -> u32 {
    for (i, flag) in asked.flags().iter().flatten().enumerate() {
        let why = "version 1.3.0 of the specification has no flag, for some make attacks easier";
        notes.refusals.push(
            Error::new(Kind::Unsupported, format!("cannot set the personality flag {flag:?}"), why)
                .at(format!("linux.personality.flags[{i}]"))
                .fix("remove it"),
        );
    }
    match asked.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}
