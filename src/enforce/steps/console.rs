//! The container's terminal: a new pair from the container's own devpts, the slave for the process, the master
//! for whoever asked for it.
//!
//! The slave comes from the master (`TIOCGPTPEER`, Linux 4.13), never from a path (CVE-2025-52565).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstatfs, openat};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::enforce::init::Init;
use crate::enforce::order::Role;
use crate::enforce::root::{Root, host};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::process::Terminal;
use crate::plan::{Plan, Workload};
use crate::sys::Syscall;
use crate::sys::mount::{attach, clone_private};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Opens the terminal of a new container, and puts it on `/dev/console`.
pub fn open(plan: &Plan, init: &mut Init) -> Result<()> {
    let Some(terminal) = plan.workload.terminal else { return Ok(()) };
    let slave = connect(terminal, init)?;
    let what = || "cannot put the terminal on /dev/console".to_owned();
    let root = init.root()?;
    let console = root.make_plain_file("/dev/console")?;
    let tree = clone_private(&slave, Path::new(""), false).context(what)?;
    attach(tree, console).context(what)
}

/// Opens a terminal for a process of an exec, which is inside already.
pub fn open_for_exec(workload: &Workload, init: &mut Init) -> Result<()> {
    let Some(terminal) = workload.terminal else { return Ok(()) };
    let root = host(Path::new("/"), false).context(|| "cannot open the root".to_owned())?;
    init.root = Some(Root::new(root));
    let connected = connect(terminal, init);
    init.root = None;
    connected.map(drop)
}

/// A new pair: the master goes to the console socket, the slave becomes standard input, output and error.
fn connect(terminal: Terminal, init: &mut Init) -> Result<OwnedFd> {
    let what = || "cannot open a terminal".to_owned();
    let master = open_master(init.root()?)?;
    rustix::pty::unlockpt(&master).call(|| "ioctl(TIOCSPTLCK)".to_owned()).context(what)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
        .call(|| "ioctl(TIOCGPTPEER)".to_owned())
        .context(what)?;
    if terminal != Terminal::default() {
        let size = Winsize { ws_row: terminal.height, ws_col: terminal.width, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).call(|| "ioctl(TIOCSWINSZ)".to_owned()).context(what)?;
    }
    let socket = init.received.require(&Role::ConsoleSocket)?;
    crate::sys::socket::send_with_data(&socket, b"/dev/ptmx", &[master.as_fd()])
        .context(|| "cannot send the terminal to the console socket".to_owned())?;
    rustix::process::ioctl_tiocsctty(&slave).call(|| "ioctl(TIOCSCTTY)".to_owned()).context(what)?;
    crate::sys::process::replace_stdio(&slave).context(what)?;
    Ok(slave)
}

/// From the devpts that is mounted in the container; without one, from the host's.
fn open_master(root: &Root) -> Result<OwnedFd> {
    let what = || "cannot open a terminal".to_owned();
    let dir = match root.open_plain("/dev/pts", OFlags::PATH | OFlags::DIRECTORY) {
        Ok(dir) if is_devpts(&dir) => dir,
        _ => {
            let why = "there is no devpts on /dev/pts of the container";
            return Err(Error::new(Kind::Invalid, what(), why)
                .at("process.terminal")
                .fix("add a mount of type devpts, or set process.terminal to false"));
        }
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&dir, "ptmx", flags, Mode::empty()).call(|| "openat(devpts, \"ptmx\")".to_owned()).context(what)
}

fn is_devpts(dir: &OwnedFd) -> bool {
    #[allow(clippy::useless_conversion)] // its width differs by architecture
    fstatfs(dir).is_ok_and(|fs| i64::try_from(fs.f_type) == Ok(DEVPTS_SUPER_MAGIC))
}
