//! An ordinary user with an entry in the host's files, to whom more ids were given; removed when dropped.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::bundle::{Scratch, unique};

/// Other tests change the same files.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct User {
    name: String,
    pub id: u32,
    pub group: u32,
    /// The first of the ids in `/etc/subuid` and in `/etc/subgid`.
    pub given: [u32; 2],
    pub home: Scratch,
}

impl User {
    /// None where the host does not have what it takes.
    pub fn new() -> Option<User> {
        let needed = ["/usr/bin/newuidmap", "/usr/bin/newgidmap", "/usr/sbin/useradd", "/usr/bin/setpriv"];
        if !needed.iter().all(|path| Path::new(path).exists()) {
            return None;
        }
        let home = Scratch::new("home");
        let name = unique("u").replace("sandrun-test-", "sandrun");
        let path = home.path().display().to_string();
        change(&["useradd", "--no-create-home", "--home-dir", &path, &name]);
        let mut user = User { name, id: 0, group: 0, given: [0, 0], home };
        [user.id, user.group] = ["-u", "-g"].map(|which| user.number(which));
        user.given = ["/etc/subuid", "/etc/subgid"].map(|file| user.first_given(file));
        std::os::unix::fs::chown(user.home.path(), Some(user.id), Some(user.group))
            .expect("cannot give the home away");
        Some(user)
    }

    /// Words that run a command as this user, with a clean environment.
    pub fn words(&self) -> Vec<String> {
        let home = self.home.path().display();
        let [uid, gid] = [format!("--reuid={}", self.id), format!("--regid={}", self.group)];
        let mut words =
            ["setpriv", &uid, &gid, "--clear-groups", "env", "-i", "--chdir"].map(str::to_owned).to_vec();
        words.push(home.to_string());
        words.extend(["HOME", "XDG_RUNTIME_DIR"].map(|name| format!("{name}={home}")));
        words.push("PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        words
    }

    fn number(&self, which: &str) -> u32 {
        let output = Command::new("id").args([which, &self.name]).output().expect("cannot run id");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    }

    fn first_given(&self, file: &str) -> u32 {
        let table = fs::read_to_string(file).expect("cannot read what was given");
        let line = table.lines().find_map(|line| line.strip_prefix(&self.name)?.strip_prefix(':'));
        let first = line.and_then(|line| line.split(':').next()?.parse().ok());
        first.unwrap_or_else(|| panic!("useradd has given {} nothing in {file}: {table}", self.name))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        change(&["userdel", &self.name]);
    }
}

/// Runs a command that changes the host's files, once nobody else does.
fn change(words: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    let (program, rest) = words.split_first().expect("words");
    loop {
        let output = Command::new(program).args(rest).output().expect("cannot change the users");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return;
        }
        if !said.contains("lock") || Instant::now() > deadline {
            eprintln!("{words:?}: {said}");
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
