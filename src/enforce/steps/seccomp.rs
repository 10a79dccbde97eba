//! System call filters: the last thing before `execve`, so that a profile never has to allow what only the
//! runtime needs.

use rustix::io::Errno;

use super::program::not_executed;
use crate::error::{Error, Kind, Result};
use crate::plan::Workload;
use crate::plan::seccomp::Filter;
use crate::sys::CallError;
use crate::sys::listener::{Hear, load_and_execute};
use crate::sys::process::Program;

/// The filter that has a listener; the plan has it alone.
pub fn with_listener(workload: &Workload) -> Option<&Filter> {
    workload.seccomp.iter().find(|filter| filter.listener.is_some())
}

/// Loads every filter.
///
/// Without no_new_privs this needs CAP_SYS_ADMIN, which is left to the `execve` to take away: it computes the
/// permitted set anew, without looking at the old one.
pub fn load(workload: &Workload) -> Result<()> {
    workload.seccomp.iter().try_for_each(|filter| {
        let loaded = crate::sys::seccomp::load(&filter.instructions(), filter.flags);
        loaded.map(drop).map_err(|error| not_loaded(filter, error))
    })
}

/// Loads every filter and executes the program; only returns when that fails.
pub fn execute(workload: &Workload, program: &Program) -> Error {
    match load(workload) {
        Ok(()) => not_executed(program.path(), program.execute()),
        Err(error) => error,
    }
}

/// The same with a filter that has a listener; all that is left to do then is done by `hear`.
pub fn execute_notified(filter: &Filter, program: &Program, hear: &Hear<'_>) -> Error {
    not_loaded(filter, load_and_execute(&filter.instructions(), filter.flags, program, hear))
}

fn not_loaded(filter: &Filter, call: CallError) -> Error {
    let error = Error::new(
        Kind::Failed,
        format!("cannot load the seccomp profile {}", filter.name),
        call.to_string(),
    )
    .at("linux.seccomp");
    match call.errno {
        Errno::AGAIN => error.fix(
            "sending a listener takes a second thread until the program runs, for which linux.resources.pids.limit \
             and RLIMIT_NPROC must leave room",
        ),
        Errno::NOSYS => {
            error.fix("SCMP_ACT_NOTIFY takes a kernel with CONFIG_USERFAULTFD: use one, or another action")
        }
        _ => error,
    }
}
