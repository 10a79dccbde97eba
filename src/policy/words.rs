//! Forms of single values in a policy file. Each is checked when the file is read, so that an error has a line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::plan::cgroup::DeviceKind;

/// A text that means something of its own.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl From<$name> for String {
            fn from(word: $name) -> String {
                word.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word! {
    /// An absolute path without `.` and `..`: a place of the host, with all that is beneath it. `{pod-uid}` and
    /// `{sandbox-id}` stand for what the engine says of the container's pod.
    Directory
}

/// What a directory may be named after, and the annotations by which engines tell it.
const PLACEHOLDERS: [(&str, [&str; 2]); 2] = [
    ("{pod-uid}", ["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]),
    ("{sandbox-id}", ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"]),
];

impl TryFrom<String> for Directory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = || text.split('/').skip(1);
        let plain = text == "/" || parts().all(|part| !matches!(part, "" | "." | ".."));
        let rest = PLACEHOLDERS.iter().fold(text.clone(), |text, (name, _)| text.replace(name, ""));
        match (text.starts_with('/') && plain, rest.contains(['{', '}'])) {
            (true, false) => Ok(Self(text)),
            (false, _) => Err(format!("{text:?} is not an absolute path without //, . and ..")),
            (_, true) => Err(format!("{text:?}: only {{pod-uid}} and {{sandbox-id}} stand for something")),
        }
    }
}

impl Directory {
    /// The path for a container; none where its engine does not tell what it is named after.
    pub fn path(&self, annotations: &BTreeMap<String, String>) -> Option<PathBuf> {
        let mut text = self.0.clone();
        for (placeholder, names) in
            PLACEHOLDERS.iter().filter(|(placeholder, _)| self.0.contains(placeholder))
        {
            let value = names.iter().find_map(|name| annotations.get(*name))?;
            // It has to be one name, or it would lead elsewhere.
            if matches!(value.as_str(), "" | "." | "..") || value.contains(['/', '\0']) {
                return None;
            }
            text = text.replace(placeholder, value);
        }
        Some(PathBuf::from(text))
    }
}

word! {
    /// A name; one that ends with `*` stands for every name that begins so.
    Pattern
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.trim_end_matches('*').contains('*') || text.ends_with("**") || text.is_empty() {
            true => Err(format!("{text:?} is neither a name nor the beginning of names with a * at its end")),
            false => Ok(Self(text)),
        }
    }
}

impl Pattern {
    /// Whether it stands for a name.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}

word! {
    /// `CAP_NET_RAW`, or `NET_RAW`.
    CapabilityName
}

impl TryFrom<String> for CapabilityName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = Self(text);
        match name.parse() {
            Some(_) => Ok(name),
            None => Err(format!("{name} is no capability that this version knows")),
        }
    }
}

impl CapabilityName {
    fn parse(&self) -> Option<caps::Capability> {
        let upper = self.0.to_ascii_uppercase();
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        caps::Capability::from_str(&full).ok()
    }

    /// Bit *n* for capability number *n*.
    pub fn mask(list: &[CapabilityName]) -> u64 {
        list.iter().filter_map(CapabilityName::parse).fold(0, |mask, capability| mask | capability.bitmask())
    }
}

word! {
    /// A device by type and number: `c 10:229`, `c 195:*`.
    Device
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let device = Self(text);
        match device.parse() {
            Some(_) => Ok(device),
            None => Err(format!("{:?} is no device such as \"c 10:229\" or \"b 8:*\"", device.0)),
        }
    }
}

impl Device {
    fn parse(&self) -> Option<(DeviceKind, u32, Option<u32>)> {
        let (kind, numbers) = self.0.split_once(' ')?;
        let (major, minor) = numbers.split_once(':')?;
        let kind = match kind {
            "c" => DeviceKind::Char,
            "b" => DeviceKind::Block,
            _ => return None,
        };
        let minor = if minor == "*" { None } else { Some(minor.parse().ok()?) };
        Some((kind, major.parse().ok()?, minor))
    }

    /// Whether it stands for a device, or for all with this major number.
    pub fn matches(&self, kind: DeviceKind, major: u32, minor: Option<u32>) -> bool {
        self.parse().is_some_and(|(own_kind, own_major, own_minor)| {
            (own_kind, own_major) == (kind, major) && (own_minor.is_none() || own_minor == minor)
        })
    }
}

/// A number of bytes, or a text with a unit of 1024: `512M`, `4GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bytes(pub i64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number of bytes, or a text such as \"512M\" or \"4GiB\"")]
        enum Written {
            Number(i64),
            Text(String),
        }
        let bytes = match Written::deserialize(deserializer)? {
            Written::Number(bytes) => bytes,
            Written::Text(text) => crate::size::parse(&text).map_err(serde::de::Error::custom)?,
        };
        match bytes > 0 {
            true => Ok(Bytes(bytes)),
            false => Err(serde::de::Error::custom("it has to be more than 0 bytes")),
        }
    }
}
