//! What the workload sees of its terminal.

use std::io::IsTerminal;
use std::os::fd::AsRawFd;

use crate::json::Json;
use crate::sys;

/// Which of the standard descriptors are a terminal, its name, size and foreground process group.
pub fn answer() -> Json {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let terminals = [stdin.is_terminal(), stdout.is_terminal(), stderr.is_terminal()];
    let name = std::fs::read_link(format!("/proc/self/fd/{}", stdin.as_raw_fd())).ok();
    let group = sys::foreground_group(&stdin).ok();
    let session = sys::call(libc::SYS_getsid, &mut []).ok();
    let size = sys::window_size(&stdin).ok();
    Json::object([
        ("isatty", terminals.into_iter().collect()),
        ("name", name.map(|name| name.to_string_lossy().into_owned()).into()),
        ("columns", size.map(|(columns, _)| i64::from(columns)).into()),
        ("rows", size.map(|(_, rows)| i64::from(rows)).into()),
        ("foregroundGroup", group.into()),
        ("ownGroup", sys::call(libc::SYS_getpgid, &mut []).ok().into()),
        ("session", session.into()),
        ("pid", i64::from(std::process::id()).into()),
    ])
}

/// Answers, waits for a change of the window, and answers again.
pub fn answer_after_resize() {
    match sys::wait_for_signal(&[libc::SIGWINCH], || println!("{}", answer())) {
        Ok(_) => println!("{}", answer()),
        Err(errno) => println!("{}", Json::object([("errno", errno.to_string().into())])),
    }
}
