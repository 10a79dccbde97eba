//! Which filters a process gets: the level's, and that of config.json.

use super::known::FLAG_WAIT_KILLABLE_RECV;
use super::{Arch, Filter};
use crate::error::{Error, Kind};
use crate::level::Level;
use crate::plan::{Input, Notes};

/// The filters of the container, in the order in which they are loaded.
pub(in crate::plan) fn filters(input: &Input<'_>, notes: &mut Notes) -> Vec<Filter> {
    let own = input.config.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let own = own.and_then(|own| match Filter::from_oci(own, Arch::NATIVE) {
        Ok((filter, changes)) => {
            notes.changes.extend(changes);
            notes.refusals.extend(lacks_flag(input, &filter));
            Some(filter)
        }
        Err(refusals) => {
            notes.refusals.extend(refusals);
            None
        }
    });
    let ours = match input.level {
        Level::Oci => return own.into_iter().collect(),
        Level::Baseline => Filter::baseline(),
        Level::Strict => Filter::strict(),
    };
    notes.change("linux.seccomp", format!("the {} profile is added", ours.name));
    match own {
        // Neither can be loaded after the other: a listener is refused by ours, any filter by that of strict.
        Some(own) if own.listener.is_some() || input.level == Level::Strict => match own.joined(&ours) {
            Ok(joined) => vec![joined],
            Err(refusal) => {
                notes.refusals.push(refusal);
                Vec::new()
            }
        },
        // Ours first: it lets the other one be loaded, which may not be so the other way round.
        own => std::iter::once(ours).chain(own).collect(),
    }
}

fn lacks_flag(input: &Input<'_>, filter: &Filter) -> Option<Error> {
    let asked = filter.flags & FLAG_WAIT_KILLABLE_RECV != 0;
    (asked && !input.host.seccomp_wait_killable).then(|| {
        Error::new(
            Kind::Unsupported,
            "cannot use the seccomp profile",
            "this kernel has no SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        )
        .at("linux.seccomp.flags")
        .fix("remove the flag, or use Linux 5.19 or newer")
    })
}
