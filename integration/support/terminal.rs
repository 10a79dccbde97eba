//! A terminal, as a person at a keyboard has one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};

pub struct Terminal {
    master: File,
    slave: OwnedFd,
    screen: String,
}

impl Terminal {
    pub fn new(columns: u16, rows: u16) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).expect("cannot open a terminal");
        Terminal { master: pair.master.into(), slave: pair.slave, screen: String::new() }
    }

    /// Starts the command with this terminal as its controlling one, in a session of its own.
    pub fn start(&self, command: &Command) -> Child {
        let slave = || self.slave.try_clone().expect("cannot share the terminal");
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        session.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("cannot start a session")
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("cannot press keys");
    }

    /// Changes the size of the window; the kernel tells the foreground process group.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).expect("cannot resize the window");
    }

    /// Reads until the screen shows the text; what was read before it is forgotten.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.screen.find(text) {
                let rest = self.screen.split_off(at + text.len());
                return std::mem::replace(&mut self.screen, rest);
            }
            assert!(Instant::now() < deadline, "the screen does not show {text:?} but {:?}", self.screen);
            self.read_some();
        }
    }

    fn read_some(&mut self) {
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        let events = poll(&mut ready, PollTimeout::from(200_u16)).expect("cannot wait for the terminal");
        let mut buffer = [0; 4096];
        if events > 0 {
            let count = self.master.read(&mut buffer).expect("cannot read the terminal");
            self.screen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

/// A started command that is ended with the test.
pub struct Running(pub Child);

impl Running {
    /// Its exit code.
    #[track_caller]
    pub fn finish(mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.0.try_wait().expect("cannot wait") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the runtime does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended, which is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
