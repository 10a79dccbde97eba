//! What containerd's runc shim does with a runtime: the arguments of go-runc, its pipes, its log file, its pid files.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::bundle::probe;
use crate::support::{Bundle, Runtime, Scratch};

/// Longer than anything here should take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How flags are written. Engines do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `--flag value`
    Apart,
    /// `--flag=value`
    Joined,
}

pub const SPELLINGS: [Spelling; 2] = [Spelling::Apart, Spelling::Joined];

impl Spelling {
    /// Flags with a value, or without if it is empty.
    pub fn flags(self, flags: &[(&str, &str)]) -> Vec<String> {
        let spelt = |(flag, value): &(&str, &str)| match (self, value.is_empty()) {
            (_, true) => vec![(*flag).to_owned()],
            (Spelling::Apart, _) => vec![(*flag).to_owned(), (*value).to_owned()],
            (Spelling::Joined, _) => vec![format!("{flag}={value}")],
        };
        flags.iter().flat_map(spelt).collect()
    }
}

/// A process that is to the runtime what the shim is.
pub struct Shim {
    process: Child,
    requests: ChildStdin,
    answers: Receiver<Value>,
    /// What links of `/proc/PID/fd` say of the descriptors that it leaks.
    leaked: String,
    spelling: Spelling,
    pub runtime: Runtime,
    program: PathBuf,
    /// Another bundle than any container's, as for every container of a pod but the first.
    home: Scratch,
}

impl Shim {
    /// It calls the sandrun of this build, by this path if there is one.
    pub fn new(spelling: Spelling, program: Option<PathBuf>) -> Shim {
        let (runtime, home) = (Runtime::sandrun(), Scratch::new("shim"));
        let program = program.unwrap_or_else(|| runtime.program().to_owned());
        let mut command = Command::new(probe());
        command.arg("caller").current_dir(home.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("cannot start the caller");
        let requests = process.stdin.take().expect("it is a pipe");
        let lines = BufReader::new(process.stdout.take().expect("it is a pipe")).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = lines.map_while(Result::ok);
            let mut answers = lines.map(|line| serde_json::from_str(&line).expect("the caller answers JSON"));
            answers.try_for_each(|answer| sender.send(answer))
        });
        let mut shim =
            Shim { process, requests, answers, leaked: String::new(), spelling, runtime, program, home };
        shim.leaked = shim.answer()["leaked"].as_str().expect("a link").to_owned();
        shim
    }

    #[track_caller]
    fn answer(&self) -> Value {
        self.answers.recv_timeout(PATIENCE).expect("the caller waits: somebody keeps a pipe of its")
    }

    #[track_caller]
    fn request(&mut self, words: &[String]) -> Value {
        writeln!(self.requests, "{}", words.join("\t")).expect("the caller has ended");
        let answer = self.answer();
        assert_eq!(answer["failed"], Value::Null, "{words:?}");
        answer
    }

    /// The directory of its log, pid files and everything else that it makes.
    pub fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The global flags of every call, then these words.
    fn line(&self, words: &[String]) -> Vec<String> {
        let (root, log) = (self.runtime.root().display().to_string(), self.path("log.json"));
        let global = [("--root", root.as_str()), ("--log", &log), ("--log-format", "json")];
        let program = self.program.display().to_string();
        [vec![program], self.spelling.flags(&global), words.to_vec()].concat()
    }

    /// A verb, its flags, and what comes after them.
    pub fn words(&self, verb: &str, flags: &[(&str, &str)], rest: &[&str]) -> Vec<String> {
        let rest = rest.iter().map(ToString::to_string).collect();
        [vec![verb.to_owned()], self.spelling.flags(flags), rest].concat()
    }

    /// A call whose output the shim reads to the end: `code`, `stdout`, `stderr`.
    #[track_caller]
    pub fn call(&mut self, verb: &str, flags: &[(&str, &str)], rest: &[&str]) -> Value {
        self.feed("", verb, flags, rest)
    }

    /// The same with a text on standard input.
    #[track_caller]
    pub fn feed(&mut self, text: &str, verb: &str, flags: &[(&str, &str)], rest: &[&str]) -> Value {
        let line = self.line(&self.words(verb, flags, rest));
        let answer = self.request(&[vec!["call".to_owned(), text.to_owned()], line].concat());
        self.assert_nothing_leaked();
        answer
    }

    /// The answer to a call that must succeed, and that says nothing on standard error.
    #[track_caller]
    pub fn ask(&mut self, verb: &str, flags: &[(&str, &str)], rest: &[&str]) -> String {
        let answer = self.call(verb, flags, rest);
        assert_eq!((&answer["code"], &answer["stderr"]), (&0.into(), &"".into()), "{verb}: {answer}");
        answer["stdout"].as_str().expect("a text").to_owned()
    }

    /// A call whose standard streams become those of a container's process; its exit code.
    #[track_caller]
    pub fn give(&mut self, verb: &str, flags: &[(&str, &str)], rest: &[&str]) -> i64 {
        let line = self.line(&self.words(verb, flags, rest));
        let code = self.request(&[vec!["give".to_owned()], line].concat())["code"].as_i64();
        self.assert_nothing_leaked();
        code.expect("a number")
    }

    /// Everything that came out of the streams that were given last, once nobody has them any more.
    #[track_caller]
    pub fn said(&mut self) -> String {
        self.request(&["said".to_owned()])["stdout"].as_str().expect("a text").to_owned()
    }

    /// Waits for a process of a pid file as its parent; its exit code, or 128 and the signal.
    #[track_caller]
    pub fn reap(&mut self, pid: i64) -> i64 {
        let end = self.request(&["reap".to_owned(), pid.to_string()]);
        assert_eq!(end["errno"], Value::Null, "process {pid} is not the shim's to wait for");
        let signal = end["signal"].as_i64().map(|signal| 128 + signal);
        signal.or(end["value"].as_i64()).expect("an end")
    }

    /// The pid in a pid file, which holds nothing else: it is read as a number as it is.
    #[track_caller]
    pub fn pid_in(&self, name: &str) -> i64 {
        let text = fs::read_to_string(self.home.path().join(name)).expect("a pid file");
        text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
    }

    /// Creates a container as for a task without a terminal; its process.
    #[track_caller]
    pub fn create(&mut self, bundle: &Bundle) -> i64 {
        bundle.write();
        self.runtime.adopt(bundle);
        let (dir, pid_file) = (bundle.path().display().to_string(), self.path("init.pid"));
        let code = self.give("create", &[("--bundle", &dir), ("--pid-file", &pid_file)], &[&bundle.id]);
        assert_eq!(code, 0, "{:?}", self.log());
        self.pid_in("init.pid")
    }

    /// What the log file says, which is nothing but objects with a level, a message and a time.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.home.path().join("log.json")).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        for line in &lines {
            assert!(["error", "warning", "debug"].iter().any(|level| line["level"] == *level), "{line}");
            assert!(line["msg"].is_string(), "{line}");
            assert!(is_rfc3339(line["time"].as_str().expect("a time")), "{line}");
        }
        lines
    }

    /// The message that the shim shows: the last error of the log.
    #[track_caller]
    pub fn last_error(&self) -> String {
        let log = self.log();
        let last = log.iter().rev().find(|line| line["level"] == "error");
        last.and_then(|line| line["msg"].as_str()).unwrap_or_default().to_owned()
    }

    /// No process has a descriptor that the shim leaked, but the shim.
    #[track_caller]
    fn assert_nothing_leaked(&self) {
        let own = self.pid().to_string();
        let held = |process: &Path| {
            let links = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            links.flat_map(|entry| fs::read_link(entry.path())).any(|link| link.as_os_str() == &*self.leaked)
        };
        for process in fs::read_dir("/proc").expect("the processes").flatten() {
            if process.file_name() != *own && held(&process.path()) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                panic!("{} {} has a descriptor of the shim's", process.path().display(), name.trim());
            }
        }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        // An error means that it has ended, which is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As Go's `time.Time` reads it: date, T, time, perhaps a fraction, Z or an offset.
fn is_rfc3339(text: &str) -> bool {
    let pattern = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte == form,
            })
    };
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let zone =
        rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    pattern(seconds, "0000-00-00T00:00:00")
        && (zone == "Z" || pattern(zone, "+00:00") || pattern(zone, "-00:00"))
}
