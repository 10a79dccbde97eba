//! A terminal of the process's own.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::tcgetwinsize;

use super::*;

/// What the library does: a new terminal, its master to the socket; the slave is the process's.
pub(super) fn send(console: &OwnedFd) -> OwnedFd {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    crate::sys::socket::send_with_data(console, b"/dev/ptmx", &[master.as_fd()]).unwrap();
    slave
}

struct Session {
    _place: Place,
    wanted: Wanted,
    streams: Streams,
    slave: OwnedFd,
}

async fn session() -> Session {
    let place = Place::new();
    let (stdin, stdout) = (place.fifo("in"), place.fifo("out"));
    let wanted = Wanted { stdin, stdout, terminal: true, ..Wanted::default() };
    let mut streams = opened(&wanted).await;
    assert!(streams.child_ends().is_none());
    let slave = send(&streams.console().unwrap());
    streams.begin().unwrap();
    Session { _place: place, wanted, streams, slave }
}

/// A line, as a process at the terminal reads it.
fn line(slave: &OwnedFd) -> JoinHandle<String> {
    let slave = File::from(slave.try_clone().unwrap());
    thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(slave).read_line(&mut line).unwrap();
        line
    })
}

#[test]
fn keys_go_in_and_words_come_out() {
    on_one_thread(async {
        let mut session = session().await;
        let read = read_all(reader(&session.wanted.stdout));
        let keys = line(&session.slave);
        writer(&session.wanted.stdin).write_all(b"ls\n").unwrap();
        assert_eq!(join(keys).await, "ls\n");
        rustix::io::write(&session.slave, b"file\n").unwrap();
        drop(session.slave);
        session.streams.drained().await;
        assert_eq!(join(read).await, b"ls\r\nfile\r\n");
    });
}

#[test]
fn a_lot_comes_out_whole() {
    on_one_thread(async {
        let mut session = session().await;
        let read = read_all(reader(&session.wanted.stdout));
        join(write_all(session.slave, numbers(50_000))).await;
        session.streams.drained().await;
        let words = String::from_utf8(join(read).await).unwrap().replace('\r', "");
        assert!(words.into_bytes() == numbers(50_000));
    });
}

#[test]
fn it_has_the_size_that_was_asked_for() {
    on_one_thread(async {
        let session = session().await;
        session.streams.resize(132, 43).unwrap();
        let size = tcgetwinsize(&session.slave).unwrap();
        assert_eq!((size.ws_col, size.ws_row), (132, 43));
    });
}

/// As under containerd's runc shim: whoever typed is gone, and what runs at the terminal is told so.
#[test]
fn it_hangs_up_when_standard_input_is_closed() {
    on_one_thread(async {
        let mut session = session().await;
        let read = read_all(reader(&session.wanted.stdout));
        rustix::io::write(&session.slave, b"shown\n").unwrap();
        session.streams.close_stdin();
        let slave = File::from(session.slave.try_clone().unwrap());
        let end = join(thread::spawn(move || (&slave).read(&mut [0; 8]))).await;
        // Whichever the kernel answers of a terminal that has hung up.
        assert!(matches!(&end, Ok(0)) || end.unwrap_err().raw_os_error() == Some(libc::EIO));
        session.streams.resize(1, 1).unwrap();
        session.streams.drained().await;
        assert_eq!(join(read).await, b"shown\r\n");
    });
}

/// A background process holds the terminal: what the first one wrote is there, and nobody waits.
#[test]
fn it_is_drained_while_another_process_has_it_open() {
    on_one_thread(async {
        let mut session = session().await;
        let read = read_all(reader(&session.wanted.stdout));
        rustix::io::write(&session.slave, b"words\n").unwrap();
        session.streams.drained().await;
        assert_eq!(join(read).await, b"words\r\n");
    });
}

/// systemd does so with its console.
#[test]
fn it_may_be_closed_and_opened_again() {
    on_one_thread(async {
        let mut session = session().await;
        let read = read_all(reader(&session.wanted.stdout));
        let path = rustix::termios::ttyname(&session.slave, Vec::new()).unwrap();
        rustix::io::write(&session.slave, b"once\n").unwrap();
        drop(session.slave);
        tokio::time::sleep(SHORT).await;
        let again = rustix::fs::open(
            path,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        rustix::io::write(&again, b"again\n").unwrap();
        tokio::time::sleep(SHORT).await;
        session.streams.drained().await;
        drop(again);
        assert_eq!(join(read).await, b"once\r\nagain\r\n");
    });
}

#[test]
fn one_that_was_not_sent_is_an_error() {
    let wanted = Wanted { terminal: true, ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        drop(streams.console());
        let error = streams.begin().unwrap_err();
        assert!(error.to_string().contains("cannot receive the terminal"), "{error}");
    });
}
