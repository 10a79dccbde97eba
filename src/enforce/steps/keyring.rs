//! A session keyring of the container's own.

use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::enforce::receipt::State;
use crate::error::{Error, Kind, Result};
use crate::plan::Workload;
use crate::sys::CallError;

/// Joins a new keyring. A kernel without keys has nothing to keep apart; one without room for another keyring
/// is an error, for the caller's keys would be the container's.
pub fn join(workload: &Workload, init: &mut Init) -> Result<()> {
    if !workload.new_keyring {
        init.receipt.add(
            "keyring",
            State::Absent,
            "the caller's session keyring: --no-new-keyring asks for it",
        );
        return Ok(());
    }
    let detail = match crate::sys::process::join_new_session_keyring() {
        Err(error) if error.errno == Errno::NOSYS => "this kernel has no keys",
        result => result.map(|()| "a new session keyring").map_err(not_joined)?,
    };
    init.receipt.add("keyring", State::Enforced, detail);
    Ok(())
}

fn not_joined(error: CallError) -> Error {
    Error::new(Kind::Failed, "cannot join a new session keyring", error.to_string())
        .fix("raise kernel.keys.maxkeys, or use --no-new-keyring")
}
