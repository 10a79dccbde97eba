//! A command line that is no good, or asks for help.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::log::{Format, Log};

/// Help is asked for, anything else is a mistake. That is in the log too, as far as the command line names one: it is
/// where an engine finds why its runtime does not take a flag.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    eprint!("{error}");
    if let Some(flag) = without_value(error) {
        // podman calls a flag that it wants to use without a value, and knows it by these words.
        eprintln!("flag needs an argument: {flag}");
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    log(std::env::args().skip(1)).mistake(first.strip_prefix("error: ").unwrap_or(first));
    ExitCode::from(125)
}

fn without_value(error: &clap::Error) -> Option<&str> {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let is_missing =
        error.kind() == ErrorKind::InvalidValue && given(ContextKind::InvalidValue).is_none_or(str::is_empty);
    given(ContextKind::InvalidArg).filter(|_| is_missing)
}

/// The log that a command line names which is wrong somewhere else.
fn log(arguments: impl Iterator<Item = String>) -> Log {
    let (mut path, mut format) = (None, Format::Text);
    let mut words = arguments.peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), words.peek().cloned()),
        };
        match (name, value) {
            ("--log", Some(value)) => path = Some(value.into()),
            ("--log-format", Some(value)) if value == "json" => format = Format::Json,
            _ => {}
        }
    }
    Log { path, format, debug: false }
}

#[cfg(test)]
mod tests {
    use super::log;
    use crate::log::Format;

    #[test]
    fn the_log_of_a_wrong_command_line_is_found() {
        let of = |line: &str| {
            let log = log(line.split(' ').map(str::to_owned));
            (log.path.map(|path| path.display().to_string()), log.format == Format::Json)
        };
        let found = (Some("/l".to_owned()), true);
        assert_eq!(of("--root /r --log /l --log-format json create --new c"), found);
        assert_eq!(of("--log=/l --log-format=json create"), found);
        assert_eq!(of("create --log"), (None, false));
    }
}
