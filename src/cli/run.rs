use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::create::{Bundle, log_changes};
use super::terminal::{self, Signals};
use crate::cgroup;
use crate::container::create::{Console, Created, Wish, create};
use crate::container::delete::delete_locked;
use crate::container::record::Record;
use crate::container::start::started;
use crate::container::state::StateDir;
use crate::enforce::order::Start;
use crate::error::{Context, Error, Kind, Result};
use crate::log::Log;
use crate::plan::cgroup::Layout;
use crate::sys::Syscall;

/// Create a container, run its program, and delete it when that ends
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the container; or the directory of a bundle, and a name is made up
    #[arg(value_name = "ID|BUNDLE")]
    name: String,
    #[command(flatten)]
    bundle: Bundle,
    /// Leave it running in the background
    #[arg(short, long)]
    detach: bool,
    /// Do not delete it when it ends
    #[arg(long)]
    keep: bool,
    /// Do not take over processes whose parent has ended
    #[arg(long)]
    no_subreaper: bool,
}

pub(super) fn run(global: &Global, mut arguments: Arguments) -> Result<ExitCode> {
    let id = match bundle_in_place_of_id(&arguments) {
        Some(bundle) => {
            arguments.bundle.bundle = Some(bundle);
            made_up_id("run")?
        }
        None => arguments.name.clone(),
    };
    let mut wish = arguments.bundle.wish(global, &id)?;
    if arguments.detach {
        detached(&mut wish, &global.log())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.no_subreaper {
        become_subreaper()?;
    }
    foreground(&mut wish, arguments.keep, &global.log(), |_| ()).map(ExitCode::from)
}

pub(super) fn become_subreaper() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .call(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())
        .context(|| "cannot take over orphaned processes".to_owned())
}

/// `run DIR` where a name would be: a directory with a `config.json`, unless this one has one too.
fn bundle_in_place_of_id(arguments: &Arguments) -> Option<PathBuf> {
    let path = Path::new(&arguments.name);
    let is_bundle = |dir: &Path| dir.join("config.json").exists();
    let plain = !arguments.name.contains('/');
    if arguments.bundle.bundle.is_some() || (plain && is_bundle(Path::new("."))) {
        return None;
    }
    (is_bundle(path) || !plain).then(|| path.to_owned())
}

/// A name that nobody else has.
pub(super) fn made_up_id(prefix: &str) -> Result<String> {
    let mut bytes = [0u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .call(|| "getrandom(2)".to_owned())
        .context(|| "cannot make up a name".to_owned())?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{prefix}-{digits}"))
}

fn detached(wish: &mut Wish, log: &Log) -> Result<()> {
    let created = create(wish, Start::Go)?;
    log_changes(log, &created);
    go(&created)?;
    created.child.release();
    Ok(())
}

/// Runs the program; if it cannot be run, nothing of the container is left.
fn go(created: &Created) -> Result<()> {
    let run =
        created.child.go().and_then(|()| started(&created.dir, &created.record, created.receipt.clone()));
    run.map_err(|error| match delete_locked(&created.dir, true, &created.layout) {
        Ok(failed) => failed.into_iter().fold(error, Error::and_then),
        Err(second) => error.and_then(second),
    })
}

/// Runs a container in the foreground, with the caller's standard streams or terminal. `ended` sees what is
/// stored about it once its program has ended, and before that is deleted.
pub(super) fn foreground(
    wish: &mut Wish,
    keep: bool,
    log: &Log,
    ended: impl FnOnce(&StateDir),
) -> Result<u8> {
    let signals = Signals::block()?;
    let console = match &wish.console {
        Console::None => {
            let (ours, theirs) = terminal::Console::sockets()?;
            wish.console = Console::Socket(theirs);
            Some(ours)
        }
        _ => None,
    };
    let created = create(wish, Start::Go)?;
    log_changes(log, &created);
    let console = match (console, created.has_terminal) {
        (Some(socket), true) => Some(terminal::Console::receive(&socket)?),
        _ => None,
    };
    go(&created)?;
    created.dir.unlock()?;
    let Created { dir, record, child, layout, .. } = created;
    let pidfd = child.release();
    let code = terminal::attend(std::os::fd::AsFd::as_fd(&*pidfd), &signals, console.as_ref());
    drop(console);
    ended(&dir);
    report_oom(&record, &layout, log);
    if !keep {
        match dir.lock_again() {
            Ok(()) => log.failed_hooks(&delete_locked(&dir, true, &layout)?),
            // Somebody else has deleted it.
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    code
}

/// A program that was killed for want of memory cannot say so itself.
fn report_oom(record: &Record, layout: &Layout, log: &Log) {
    if let Ok(Some(kills)) = cgroup::oom_kills(&record.cgroup, layout)
        && kills > 0
    {
        log.notice(&format!(
            "container {} ran out of memory: the kernel killed {kills} of its processes; raise linux.resources.memory.limit if it needs more",
            record.id
        ));
    }
}
