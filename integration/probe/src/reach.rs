//! What the workload can reach outside its own tree: files, inherited descriptors, abstract sockets.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use crate::errno::{Errno, Outcome};
use crate::json::Json;
use crate::sys::{c_string, call, in_child, open_at};

/// Reads a file: `content` (its first 200 bytes) or `errno`.
pub fn read(path: &str) -> Json {
    found(read_at(libc::AT_FDCWD, path))
}

/// Reads a file relative to a descriptor that was inherited.
pub fn through_descriptor(fd: RawFd, path: &str) -> Json {
    found(read_at(fd, path))
}

/// Opens the directory that an inherited descriptor refers to; `None` when there is none.
pub fn list_through(fd: RawFd) -> Option<Result<(), Errno>> {
    let link = std::fs::metadata(format!("/proc/self/fd/{fd}"));
    // Under Landlock not even the link can be followed; that a descriptor is there shows in its name.
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    if link.is_ok_and(|target| !target.is_dir()) {
        return None;
    }
    Some(open_at(fd, ".", libc::O_RDONLY | libc::O_DIRECTORY).map(drop))
}

fn read_at(dir: RawFd, path: &str) -> Result<String, Errno> {
    let file = File::from(open_at(dir, path, libc::O_RDONLY | libc::O_NONBLOCK)?);
    let mut content = Vec::new();
    file.take(200).read_to_end(&mut content).map_err(|error| Errno::of(&error))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

fn found(result: Result<String, Errno>) -> Json {
    let (content, errno) = match result {
        Ok(content) => (Json::Text(content), Json::Null),
        Err(errno) => (Json::Null, errno.to_string().into()),
    };
    Json::object([("content", content), ("errno", errno)])
}

/// Asks a device for the settings of a terminal: ENOTTY of one that is none, EACCES where no ioctl may reach it.
pub fn ioctl(path: &str) -> Json {
    let result = open_at(libc::AT_FDCWD, path, libc::O_RDONLY | libc::O_NONBLOCK).and_then(|device| {
        let mut settings = [0; 64];
        let request = i64::try_from(libc::TCGETS).unwrap_or_default();
        call(
            libc::SYS_ioctl,
            &mut [device.as_raw_fd().into(), request.into(), settings.as_mut_slice().into()],
        )
    });
    Json::object([("errno", result.err().map(|errno| errno.to_string()).into())])
}

/// Creates the file, or appends to it.
pub fn write(path: &str) -> Json {
    let file = File::options().create(true).append(true).open(path);
    let result = file.and_then(|mut file| file.write_all(b"probe\n"));
    Json::object([("errno", result.err().map(|error| Errno::of(&error).to_string()).into())])
}

/// Tries to read a path of the host in every way known from past escapes. Each way has a member, as [`read`]
/// answers.
pub fn every_way_to(path: &str) -> Json {
    let relative = path.trim_start_matches('/');
    let climb = format!("{}{relative}", "../".repeat(32));
    let mut ways = vec![
        ("path".to_owned(), read(path)),
        ("climb from cwd".to_owned(), read(&climb)),
        ("/proc/1/root".to_owned(), read(&format!("/proc/1/root/{relative}"))),
        ("/proc/1/cwd".to_owned(), read(&format!("/proc/1/cwd/{climb}"))),
        ("chroot and climb".to_owned(), chroot_and_climb(&climb)),
    ];
    for fd in 3..64 {
        if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok() {
            ways.push((format!("fd {fd}"), found(read_at(fd, relative))));
            ways.push((format!("climb from fd {fd}"), found(read_at(fd, &climb))));
            ways.push((format!("/proc/self/fd/{fd}"), read(&format!("/proc/self/fd/{fd}/{climb}"))));
        }
    }
    Json::Object(ways)
}

/// The classic: a root below the working directory does not hold the working directory back.
fn chroot_and_climb(climb: &str) -> Json {
    let outcome = in_child(|| {
        let below = c_string("/proc");
        call(libc::SYS_chroot, &mut [below.as_slice().into()])?;
        read_at(libc::AT_FDCWD, climb).map(drop)
    });
    found(match outcome {
        Outcome::Done(_) => Ok("(read in a child)".to_owned()),
        Outcome::Refused(errno) => Err(errno),
        Outcome::Killed(_) => Err(Errno(libc::EPERM)),
    })
}

/// Connects to an abstract socket.
pub fn connect_abstract(name: &str) -> Json {
    let result = SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address));
    let errno = result.as_ref().err().map(|error| Errno::of(error).to_string());
    let peer = result.ok().map(|stream| i64::from(stream.as_raw_fd()));
    Json::object([("connected", peer.is_some().into()), ("errno", errno.into())])
}

/// Sends a process no signal, which takes the right to send one.
pub fn signal(pid: i32) -> Json {
    let sent = call(libc::SYS_kill, &mut [pid.into(), 0.into()]);
    Json::object([("errno", sent.err().map(|errno| errno.to_string()).into())])
}

/// Waits for one connection on an abstract socket; says on stdout that it is ready.
pub fn listen_abstract(name: &str) -> Json {
    let listener = SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
    let accepted = listener.and_then(|listener| {
        println!("{}", Json::object([("listening", Json::from(name))]));
        listener.accept()
    });
    let errno = accepted.as_ref().err().map(|error| Errno::of(error).to_string());
    Json::object([("accepted", accepted.is_ok().into()), ("errno", errno.into())])
}
