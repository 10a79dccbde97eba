//! A runtime that is measured, with its own state directory. Whatever it started is deleted when it is dropped.

use std::cell::Cell;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::measure::{Samples, timed};

pub struct Subject {
    pub name: String,
    program: PathBuf,
    global: Vec<String>,
    state: PathBuf,
    /// The number of containers so far; their ids end in it.
    count: Cell<usize>,
}

impl Subject {
    pub fn new(name: &str, program: &Path, flags: &[&str]) -> Result<Subject> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let state = state_home().join(format!("sandrun-bench-{}-{plain}", std::process::id()));
        fs::create_dir_all(&state)?;
        let global = flags.iter().map(ToString::to_string).collect();
        Ok(Subject { name: name.to_owned(), program: program.to_owned(), global, state, count: Cell::new(0) })
    }

    /// The next container's id; it tells which subject and which process of ours made it.
    fn next_id(&self) -> String {
        self.count.set(self.count.get() + 1);
        self.id(self.count.get())
    }

    fn id(&self, number: usize) -> String {
        let prefix = self.state.file_name().unwrap_or_default().to_string_lossy();
        format!("{prefix}-{number}")
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.state.join("state")).args(&self.global).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs both bundles once, unmeasured. Some is the reason why it cannot.
    pub fn trial(&self, bundle: &Bundle) -> Result<Option<String>> {
        let log = self.state.join("trial");
        let id = self.next_id();
        let mut command = self.command(&["run", "--bundle", &bundle.quick(), &id]);
        let status = command.stderr(fs::File::create(&log)?).status()?;
        if status.success() {
            return Ok(None);
        }
        let said = fs::read_to_string(&log)?;
        let last = said.lines().last().unwrap_or("it does not say why");
        Ok(Some(last.replace('|', "/")))
    }

    /// Measures a container's life: run to the end; create, start, exec, delete.
    pub fn whole_life(&self, bundle: &Bundle, gap: Duration, samples: &mut Samples) -> Result<()> {
        let (quick, id) = (bundle.quick(), self.next_id());
        let mut step = |operation, words: &[&str]| -> Result<()> {
            std::thread::sleep(gap);
            let sample = timed(&mut self.command(words))?;
            if !sample.success {
                return Err(Error::other(format!("{} {} failed", self.name, words.join(" "))));
            }
            samples.add(&self.name, operation, sample);
            Ok(())
        };
        step("run", &["run", "--bundle", &quick, &id])?;
        let (long, id) = (bundle.long(), self.next_id());
        step("create", &["create", "--bundle", &long, &id])?;
        step("start", &["start", &id])?;
        step("exec", &["exec", &id, "/bin/true"])?;
        self.stop(&id)?;
        step("delete", &["delete", &id])
    }

    /// Starts a container in the foreground, for as long as `look` takes; it gets the runtime's pid.
    pub fn while_running<T>(&self, bundle: &Bundle, look: impl FnOnce(u32) -> T) -> Result<T> {
        let id = self.next_id();
        let mut child = self.command(&["run", "--bundle", &bundle.long(), &id]).spawn()?;
        self.await_state(&id, "running")?;
        std::thread::sleep(Duration::from_millis(300));
        let seen = look(child.id());
        self.stop_by_force(&id)?;
        child.wait()?;
        Ok(seen)
    }

    fn stop(&self, id: &str) -> Result<()> {
        self.stop_by_force(id)?;
        self.await_state(id, "stopped")
    }

    fn stop_by_force(&self, id: &str) -> Result<()> {
        let killed = self.command(&["kill", id, "KILL"]).status()?;
        if killed.success() { Ok(()) } else { Err(Error::other(format!("{}: cannot kill {id}", self.name))) }
    }

    fn await_state(&self, id: &str, wanted: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let state = self.command(&["state", id]).stdout(Stdio::piped()).output()?;
            if String::from_utf8_lossy(&state.stdout).contains(&format!("\"{wanted}\"")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error::other(format!("{}: {id} does not become {wanted}", self.name)))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.state.join("state")).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            if let Err(error) = self.command(&["delete", "--force", &id]).status() {
                eprintln!("left behind: {id}: {error}");
            }
        }
        let prefix = format!("{}-", self.state.file_name().unwrap_or_default().to_string_lossy());
        remove_cgroups(Path::new("/sys/fs/cgroup"), &prefix, 1);
        if let Err(error) = fs::remove_dir_all(&self.state) {
            eprintln!("left behind: {}: {error}", self.state.display());
        }
    }
}

/// Removes what a runtime that failed has left: in each hierarchy of v1, or in the one of v2.
fn remove_cgroups(dir: &Path, prefix: &str, depth: usize) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(prefix);
        // A directory without this file is no hierarchy: in the view v1, a tmpfs that goes with it.
        let hierarchy = entry.path().join("cgroup.procs").exists();
        if ours && let Err(error) = fs::remove_dir(entry.path()) {
            eprintln!("left behind: {}: {error}", entry.path().display());
        } else if !ours && depth > 0 && hierarchy {
            remove_cgroups(&entry.path(), prefix, depth - 1);
        }
    }
}

/// On a tmpfs, where hosts keep the state of containers; `/run` itself is a disk on some build machines.
fn state_home() -> std::path::PathBuf {
    let shared_memory = std::path::Path::new("/dev/shm");
    if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() }
}
