//! The command line, as containerd writes it: flags in the way of Go (`-id ID`, `-id=ID`, `--id ID`), then the action.

use crate::error::{Error, Kind, Result};

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// What to do.
    pub action: Action,
    /// `-namespace`: containerd's name space for ids.
    pub namespace: String,
    /// `-id`: of the container, for a pod of its first one.
    pub id: String,
    /// `-address`: containerd's own socket, which the name of ours is made of.
    pub address: String,
    /// `-bundle`: for the action `delete`; the current directory if it is empty.
    pub bundle: String,
    /// `-debug`: tell more.
    pub debug: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// Without an action: be the server, on the socket that is descriptor 3.
    #[default]
    Serve,
    /// `start`.
    Start,
    /// `delete`.
    Delete,
    /// `-info`.
    Info,
    /// `-v`.
    Version,
}

impl Flags {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// `Invalid` for a flag or an action that no version of containerd has.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut flags = Flags::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty() && *flag != "-") else {
                if flags.action == Action::Serve {
                    flags.action = action(&argument)?;
                }
                break;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if flags.switch(name, given.as_deref())? {
                continue;
            }
            let value = given.or_else(|| arguments.next());
            let value = value.ok_or_else(|| invalid(format!("flag -{name} has no value")))?;
            flags.set(name, value)?;
        }
        Ok(flags)
    }

    /// A flag that needs no value; whether it is one.
    fn switch(&mut self, name: &str, value: Option<&str>) -> Result<bool> {
        let on = match value {
            None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => true,
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => false,
            Some(_) if !matches!(name, "debug" | "info" | "v" | "version") => return Ok(false),
            Some(value) => return Err(invalid(format!("-{name}={value} is neither true nor false"))),
        };
        match name {
            "debug" => self.debug = on,
            "info" if on => self.action = Action::Info,
            "v" | "version" if on => self.action = Action::Version,
            "info" | "v" | "version" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "namespace" => self.namespace = value,
            "id" => self.id = value,
            "address" => self.address = value,
            "bundle" => self.bundle = value,
            // Events go to the socket that TTRPC_ADDRESS names, and ours is descriptor 3.
            "publish-binary" | "socket" | "debug-socket" => {}
            _ => return Err(invalid(format!("unknown flag -{name}"))),
        }
        Ok(())
    }
}

fn action(word: &str) -> Result<Action> {
    match word {
        "start" => Ok(Action::Start),
        "delete" => Ok(Action::Delete),
        "" | "--" => Ok(Action::Serve),
        _ => Err(invalid(format!("unknown action {word:?}"))),
    }
}

fn invalid(what: String) -> Error {
    Error::new(Kind::Invalid, what, "").fix("this program is started by containerd")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn what_containerd_writes() {
        let line = "-namespace k8s.io -address /run/containerd/containerd.sock -publish-binary /usr/bin/containerd -id a1 -debug start";
        let flags = parse(line).unwrap();
        assert_eq!(flags.action, Action::Start);
        assert_eq!((flags.namespace.as_str(), flags.id.as_str()), ("k8s.io", "a1"));
        assert_eq!(flags.address, "/run/containerd/containerd.sock");
        assert!(flags.debug);
        let flags = parse("-namespace=default --id=a1 -bundle /b -debug=false delete").unwrap();
        assert_eq!((flags.action, flags.bundle.as_str(), flags.debug), (Action::Delete, "/b", false));
        assert_eq!(parse("-namespace n -id a -address x").unwrap().action, Action::Serve);
        assert_eq!(parse("-info").unwrap().action, Action::Info);
        assert_eq!(parse("-v").unwrap().action, Action::Version);
    }

    #[test]
    fn what_nobody_writes() {
        for line in ["-namespace", "-nonsense x start", "stop", "-debug=perhaps start"] {
            assert_eq!(parse(line).unwrap_err().kind, Kind::Invalid, "{line}");
        }
    }
}
