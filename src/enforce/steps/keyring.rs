//! A session keyring of the container's own.

use rustix::io::Errno;

use crate::enforce::init::Init;
use crate::error::{Context, Result};
use crate::plan::Workload;

/// Joins a new keyring. A kernel without keys has nothing to keep apart; one without room for another keyring
/// is an error, for the caller's keys would be the container's.
pub fn join(workload: &Workload, _: &mut Init) -> Result<()> {
    if !workload.new_keyring {
        return Ok(());
    }
    match crate::sys::process::join_new_session_keyring() {
        Err(error) if error.errno == Errno::NOSYS => Ok(()),
        result => result
            .context(|| "cannot join a new session keyring".to_owned())
            .map_err(|error| error.fix("raise kernel.keys.maxkeys, or use --no-new-keyring")),
    }
}
