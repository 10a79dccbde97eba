//! systemd, asked over D-Bus to make and end the scope of a container (`org.freedesktop.systemd1(5)`).
//!
//! ```text
//! ask ─► manager ─► start (with a first process) ─► everything else as without systemd ─► stop
//! ```
//!
//! A scope needs a process to start with, and ends with its last one. So the first is one of our own that only
//! waits ([`Started`]); the container's is born in the cgroup as on every other host, and then ours goes.
//! Nothing here is reached without `--systemd-cgroup`.

mod bus;
mod wire;

use std::os::fd::AsFd;

use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use self::bus::{Bus, Failure};
use self::wire::{Call, Kind, Message, Writer};
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::plan::cgroup::{Manager, Property, Scope, Unit, Value};
use crate::sys::branch::holder;
use crate::sys::clone::Cloned;

const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const MISSING: &str = "org.freedesktop.systemd1.NoSuchUnit";
/// What `a(sv)` is to a signature.
const PROPERTY_LIST: &str = "a(sv)";

/// A systemd that answers.
pub struct Systemd {
    bus: Bus,
    user: bool,
}

/// A scope that was started, with a process in it that only waits: it ends when this is dropped, and so does the
/// scope, unless others are in it by then.
pub struct Started {
    first: Cloned,
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may be gone with the scope already; then it only has to be reaped.
        pidfd_send_signal(&self.first.pidfd, Signal::KILL).unwrap_or_default();
        waitid(WaitId::PidFd(self.first.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap_or_default();
    }
}

impl Started {
    /// The process that waits, as our pid namespace numbers it.
    pub fn pid(&self) -> i32 {
        self.first.pid
    }
}

impl Systemd {
    /// Connects: to the system's as root of the host, else to the calling user's.
    ///
    /// # Errors
    /// `Unsupported` if none answers.
    pub fn of_caller() -> Result<Systemd> {
        Systemd::ask(!is_root_of_host())
    }

    /// Connects to the system's, or to the calling user's.
    ///
    /// # Errors
    /// `Unsupported` if it does not answer.
    pub fn ask(user: bool) -> Result<Systemd> {
        match Bus::open(user) {
            Ok(bus) => Ok(Systemd { bus, user }),
            Err(failure) => {
                let whose = if user { "the user's systemd" } else { "systemd" };
                let fix = match user {
                    true => {
                        "log in through PAM or enable lingering (loginctl enable-linger), or leave --systemd-cgroup out"
                    }
                    false => "leave --systemd-cgroup out where systemd does not run",
                };
                Err(Error::new(ErrorKind::Unsupported, format!("cannot ask {whose}"), failure.to_string())
                    .fix(fix))
            }
        }
    }

    /// What the plan has to know of it.
    ///
    /// # Errors
    /// `Failed` if it does not say which cgroup it manages.
    pub fn manager(&mut self) -> Result<Manager> {
        let mut body = Writer::default();
        body.text(MANAGER);
        body.text("ControlGroup");
        let what = || "cannot ask systemd for its cgroup".to_owned();
        let answer = self.call(PROPERTIES, "Get", "ss", body).map_err(|failure| failed(what(), &failure))?;
        let mut values = answer.body();
        let cgroup = values.signature().filter(|kind| kind == "s").and_then(|_| values.text());
        let cgroup = cgroup.ok_or("it is no text").context(what)?;
        Ok(Manager { user: self.user, cgroup: cgroup.trim_end_matches('/').to_owned() })
    }

    /// Starts a scope; returns when its cgroup is there.
    ///
    /// # Errors
    /// `Exists` if there is a unit of this name, `Failed` if systemd refuses it.
    pub fn start(&mut self, scope: &Scope) -> Result<Started> {
        let name = &scope.unit.name;
        let what = || format!("cannot start {name}");
        let started = Started { first: holder(0).context(what)? };
        let pid = number(started.pid());
        let mut outcome = self.start_with(scope, pid);
        if matches!(&outcome, Err(Failure::Refused { name, .. }) if name == EXISTS) {
            // One that has failed, which is left of a container that is gone, is in nobody's way.
            self.reset(name).map_err(|failure| failed(what(), &failure))?;
            outcome = self.start_with(scope, pid);
        }
        match outcome {
            Ok(()) => Ok(started),
            Err(Failure::Refused { name: error, text }) if error == EXISTS => {
                Err(Error::new(ErrorKind::Exists, what(), text)
                    .at("linux.cgroupsPath")
                    .fix("delete the container that uses it, or give this one another name"))
            }
            Err(failure) => Err(failed(what(), &failure)),
        }
    }

    fn start_with(&mut self, scope: &Scope, pid: u32) -> Result<(), Failure> {
        self.listen()?;
        let mut body = Writer::default();
        body.text(&scope.unit.name);
        body.text("replace");
        body.array(8, |body| {
            for property in &scope.properties {
                write_property(body, property);
            }
            body.structure(|body| {
                body.text("PIDs");
                body.variant("au", |body| body.array(4, |body| body.u32(pid)));
            });
        });
        // No other units come with it.
        body.array(8, |_| ());
        let answer =
            self.call(MANAGER, "StartTransientUnit", &format!("ss{PROPERTY_LIST}a(sa(sv))"), body)?;
        self.done(&answer)
    }

    /// Changes the properties of a unit until the next boot.
    ///
    /// # Errors
    /// `NotFound` if there is no such unit, `Failed` if systemd refuses a value.
    pub fn set_properties(&mut self, unit: &Unit, properties: &[Property]) -> Result<()> {
        let mut body = Writer::default();
        body.text(&unit.name);
        body.u32(1);
        body.array(8, |body| properties.iter().for_each(|property| write_property(body, property)));
        match self.call(MANAGER, "SetUnitProperties", &format!("sb{PROPERTY_LIST}"), body) {
            Ok(_) => Ok(()),
            Err(failure) => Err(failed(format!("cannot change {}", unit.name), &failure)),
        }
    }

    /// Moves a process of the caller's into a unit's cgroup, where the caller may not do so itself: out of a
    /// session into the tree of the user's systemd (systemd 238).
    ///
    /// # Errors
    /// `NotFound` if there is no such unit, `Failed` if systemd refuses.
    pub fn attach(&mut self, unit: &Unit, pid: i32) -> Result<()> {
        let what = || format!("cannot move process {pid} into {}", unit.name);
        let number = number(pid);
        let mut body = Writer::default();
        body.text(&unit.name);
        body.text("");
        body.array(4, |body| body.u32(number));
        match self.call(MANAGER, "AttachProcessesToUnit", "ssau", body) {
            Ok(_) => Ok(()),
            Err(failure) => Err(failed(what(), &failure)),
        }
    }

    /// Ends a unit and whatever is in it, and forgets that it was there; one that is not there is no error.
    ///
    /// # Errors
    /// `Failed` if systemd refuses.
    pub fn stop(&mut self, unit: &Unit) -> Result<()> {
        let stopped = self.stop_and_wait(&unit.name);
        stopped
            .and_then(|()| self.reset(&unit.name))
            .map_err(|failure| failed(format!("cannot stop {}", unit.name), &failure))
    }

    fn stop_and_wait(&mut self, name: &str) -> Result<(), Failure> {
        self.listen()?;
        let mut body = Writer::default();
        body.text(name);
        body.text("replace");
        match self.call(MANAGER, "StopUnit", "ss", body) {
            Ok(answer) => self.done(&answer),
            Err(Failure::Refused { name, .. }) if name == MISSING => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn reset(&mut self, name: &str) -> Result<(), Failure> {
        let mut body = Writer::default();
        body.text(name);
        match self.call(MANAGER, "ResetFailedUnit", "s", body) {
            Err(Failure::Refused { name, .. }) if name == MISSING => Ok(()),
            other => other.map(drop),
        }
    }

    fn call(
        &mut self,
        interface: &str,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Message, Failure> {
        self.bus.call(&Call { destination: SERVICE, path: OBJECT, interface, member, signature, body })
    }

    /// Has the bus send us how jobs end.
    fn listen(&mut self) -> Result<(), Failure> {
        if self.bus.is_direct() {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(&format!("type='signal',sender='{SERVICE}',interface='{MANAGER}',member='JobRemoved'"));
        let destination = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let call =
            Call { destination, path, interface: destination, member: "AddMatch", signature: "s", body };
        self.bus.call(&call).map(drop)
    }

    /// Waits for the end of the job that systemd answered with.
    fn done(&mut self, answer: &Message) -> Result<(), Failure> {
        let Some(job) = answer.body().text() else {
            return Err(Failure::Broken("systemd answers without a job".to_owned()));
        };
        let result = self.bus.signal(|signal| {
            // Anybody on the bus may send us a signal of this name.
            if signal.kind != Kind::Signal || signal.name != "JobRemoved" || signal.sender != answer.sender {
                return None;
            }
            let mut values = signal.body();
            values.u32()?;
            let (ended, _unit, result) = (values.text()?, values.text()?, values.text()?);
            (ended == job).then_some(result)
        })?;
        match &*result {
            "done" | "skipped" => Ok(()),
            result => Err(Failure::Broken(format!("the job's result is {result:?}: see journalctl"))),
        }
    }
}

/// One element of `a(sv)`.
fn write_property(body: &mut Writer, property: &Property) {
    body.structure(|body| {
        body.text(&property.name);
        match &property.value {
            Value::Flag(value) => body.variant("b", |body| body.u32(u32::from(*value))),
            Value::Number(value) => body.variant("t", |body| body.u64(*value)),
            Value::Text(value) => body.variant("s", |body| body.text(value)),
            Value::Set(bits) => {
                body.variant("ay", |body| {
                    body.array(1, |body| bits.iter().for_each(|bits| body.byte(*bits)))
                });
            }
            Value::Devices(list) => body.variant("a(ss)", |body| {
                body.array(8, |body| {
                    for (path, access) in list {
                        body.structure(|body| {
                            body.text(path);
                            body.text(access);
                        });
                    }
                });
            }),
        }
    });
}

fn failed(what: String, failure: &Failure) -> Error {
    let kind = match failure {
        Failure::Refused { name, .. } if name == MISSING => ErrorKind::NotFound,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, what, failure.to_string())
}

/// Root of a user namespace is an ordinary user to the system's systemd.
fn is_root_of_host() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    whole && rustix::process::geteuid().is_root()
}

/// No process has a negative number.
fn number(pid: i32) -> u32 {
    pid.unsigned_abs()
}
