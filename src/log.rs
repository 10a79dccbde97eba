//! Where an error is told: once on standard error, and once in the file of `--log`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::error::Error;
use crate::plan::Change;

/// The form of the lines in the log file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `time="…" level=error msg="…"`.
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`, which callers of an OCI runtime read back.
    Json,
}

/// The log file, if one was asked for.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Where.
    pub path: Option<PathBuf>,
    /// How.
    pub format: Format,
    /// Whether [`Log::debug`] tells anything.
    pub debug: bool,
}

impl Log {
    /// Tells an error.
    pub fn error(&self, error: &Error) {
        let text = one_line(&error.to_string());
        eprintln!("sandrun: error: {text}");
        self.append("error", &text);
    }

    /// Tells of a mistake that was told on standard error already.
    pub fn mistake(&self, text: &str) {
        self.append("error", &one_line(text));
    }

    /// Tells what a caller should know though nothing failed: only in the file, for nothing goes to standard
    /// error on success.
    pub fn warning(&self, text: &str) {
        self.append("warning", &one_line(text));
    }

    /// Tells what the node policy let pass; an engine has to find it, and nobody's screen is in the way.
    pub fn policy_warnings(&self, warnings: &[Change]) {
        warnings.iter().for_each(|warning| self.warning(&format!("{}: {}", warning.at, warning.what)));
    }

    /// Tells something on standard error and in the file.
    pub fn notice(&self, text: &str) {
        let text = one_line(text);
        eprintln!("sandrun: {text}");
        self.append("warning", &text);
    }

    /// Tells what a container goes on without (OCI config, "Linux Process": such a capability has to be logged).
    pub fn unknown_capabilities(&self, names: &[&str]) {
        if !names.is_empty() {
            self.notice(&format!("ignoring unknown or unavailable capabilities: [{}]", names.join(" ")));
        }
    }

    /// Tells of hooks that failed when nothing was left to be stopped for it.
    pub fn failed_hooks(&self, errors: &[Error]) {
        errors.iter().for_each(|error| self.notice(&error.to_string()));
    }

    /// Tells what helps to understand, if it was asked for.
    pub fn debug(&self, text: &str) {
        if self.debug {
            self.append("debug", &one_line(text));
        }
    }

    fn append(&self, level: &str, text: &str) {
        let Some(path) = &self.path else { return };
        let time = crate::time::now();
        let mut line = match self.format {
            Format::Json => serde_json::json!({ "level": level, "msg": text, "time": time }).to_string(),
            Format::Text => format!("time={time:?} level={level} msg={text:?}"),
        };
        line.push('\n');
        // One write, for others append to the same file.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("sandrun: cannot write the log {}: {error}", path.display());
        }
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
