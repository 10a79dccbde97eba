//! What the root filesystem is mounted from, where mounting it is the runtime's: containerd's `types.Mount`, one on top
//! of the other (`mount(8)`, `overlayfs`).

use serde::{Deserialize, Serialize};

use super::options::{Options, RDONLY};
use super::source::{layer_by_layer, superblock};
use super::{Propagation, destination};
use crate::error::{Error, Kind};
use crate::host::Caller;
use crate::plan::Input;
use crate::plan::namespaces::IdMapping;

/// A mount as the caller says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The filesystem's type; `bind` or nothing for a directory.
    pub fstype: String,
    /// A directory, a device, or whatever the filesystem takes for one.
    pub source: String,
    /// Where in the root filesystem; empty for the root itself.
    pub target: String,
    /// Options as `mount(8)` has them.
    pub options: Vec<String>,
}

/// One mount of those that make the root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stacked {
    /// Which of them: `rootfs[0]`.
    pub at: String,
    /// Where in the root filesystem; empty for the root itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What is mounted.
    pub from: Origin,
    /// `MOUNT_ATTR_*` set on it.
    pub set: u64,
    /// Propagation types, in order; `true` for those that reach everything below. Without any it is private.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub propagation: Vec<(Propagation, bool)>,
    /// User ids as the caller wants them (`uidmap=`): of the lower layers of an overlay, and of anything else as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids (`gidmap=`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Options for `fsconfig(2)`.
pub type FilesystemOptions = Vec<(String, Option<String>)>;

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Origin {
    /// A directory of the host.
    Bind {
        /// Its absolute path.
        path: String,
        /// With the mounts below it.
        recursive: bool,
    },
    /// Layers, one over the other.
    Overlay(Overlay),
    /// A filesystem on a device, in a file, or of its own.
    #[serde(rename_all = "camelCase")]
    Filesystem {
        /// Its type.
        fstype: String,
        /// The device or the file.
        source: String,
        /// Its own options.
        options: FilesystemOptions,
        /// The source is a file that needs a loop device to be a device; `true` to read it past the page cache.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loop_device: Option<bool>,
    },
}

/// An overlay (`overlayfs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// What is read, the uppermost first; absolute paths.
    pub lower: Vec<Layer>,
    /// What is written to, and the directory beside it that overlayfs works in; absent for an overlay that is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<(String, String)>,
    /// Other options.
    pub options: FilesystemOptions,
}

/// A layer that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its absolute path.
    pub path: String,
    /// It only holds data of files that the layers above have (`datadir+`, Linux 6.7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data: bool,
}

impl Overlay {
    /// The deepest directory with all layers below it, where that is not the root.
    pub fn common_directory(&self) -> Option<&str> {
        let upper = self.upper.iter().flat_map(|(upper, work)| [upper, work]);
        let mut paths = self.lower.iter().map(|layer| &layer.path).chain(upper);
        let first = paths.next()?;
        let end = paths.fold(first.rfind('/')?, |end, path| {
            let alike = first.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count().min(end);
            let slash = |end: &str| end.rfind('/').unwrap_or_default();
            // A whole name, not the beginning of two.
            if first.as_bytes().get(alike) == Some(&b'/') && path.as_bytes().get(alike) == Some(&b'/') {
                alike
            } else {
                first.get(..alike).map_or(0, slash)
            }
        });
        first.get(..end).filter(|common| !common.is_empty())
    }
}

/// All of them, in order.
pub(in crate::plan) fn resolve(input: &Input<'_>) -> Result<Vec<Stacked>, Vec<Error>> {
    let (mut stack, mut refusals) = (Vec::new(), Vec::new());
    if input.host.caller == Caller::User && !input.options.rootfs.is_empty() {
        let what = "an ordinary user cannot mount a root filesystem";
        refusals.push(Error::new(Kind::Unsupported, what, "").at("rootfs").fix("run as root"));
    }
    for (i, asked) in input.options.rootfs.iter().enumerate() {
        match one(asked, format!("rootfs[{i}]")) {
            Ok(mount) => stack.push(mount),
            Err(error) => refusals.push(error),
        }
    }
    if refusals.is_empty() { Ok(stack) } else { Err(refusals) }
}

fn one(asked: &Asked, at: String) -> Result<Stacked, Error> {
    let refused =
        |what: String, field: &str| Err(Error::new(Kind::Unsupported, what, "").at(format!("{at}.{field}")));
    if let Some(option) = asked.options.iter().find(|option| option.starts_with("X-containerd.")) {
        return refused(format!("option {option} is for containerd's mount manager"), "options");
    }
    if asked.fstype.contains('/') || asked.fstype.starts_with("fuse.") || asked.fstype.starts_with("fuse3.") {
        let what = format!("a root filesystem of type {:?} needs another program to mount it", asked.fstype);
        return refused(what, "type").map_err(|error| error.fix("use the overlayfs snapshotter"));
    }
    let target = match asked.target.trim_matches('/') {
        "" => String::new(),
        target => destination(target.as_ref()).map_err(|why| {
            Error::new(Kind::Invalid, "mount destination is not usable", why).at(format!("{at}.target"))
        })?,
    };
    let (ids, options) = id_mappings(&asked.options, &at)?;
    let (loops, options) = loop_device(options);
    let options = Options::parse(&options);
    if options.remount || options.copy_up || options.idmap.is_some() || options.set_recursive != 0 {
        return refused("such an option has no meaning for a root filesystem".to_owned(), "options");
    }
    Ok(Stacked {
        from: from(asked, &options, loops, &at)?,
        at,
        target,
        set: options.set,
        propagation: options.propagation,
        uid_mappings: ids.0,
        gid_mappings: ids.1,
    })
}

fn from(asked: &Asked, options: &Options, loop_device: Option<bool>, at: &str) -> Result<Origin, Error> {
    let absolute = |path: &str, field: &str| match path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err(Error::new(Kind::Invalid, format!("path {path:?} is not absolute"), "")
            .at(format!("{at}.{field}"))),
    };
    if options.bind || matches!(asked.fstype.as_str(), "" | "bind" | "none") {
        let path = absolute(&asked.source, "source")?;
        return Ok(Origin::Bind { path, recursive: options.recursive });
    }
    let mut own = superblock(options);
    // A device is opened for writing, and a journal on it replayed, unless the filesystem itself is read-only.
    if options.set & RDONLY != 0 {
        own.push(("ro".to_owned(), None));
    }
    if asked.fstype != "overlay" {
        own.extend(options.data.iter().map(unquoted));
        let (fstype, source) = (asked.fstype.clone(), asked.source.clone());
        return Ok(Origin::Filesystem { fstype, source, options: own, loop_device });
    }
    let mut overlay = Overlay { options: own, ..Overlay::default() };
    let (mut upper, mut work) = (None, None);
    for option in &options.data {
        match (option.0.as_str(), &option.1) {
            ("lowerdir", Some(layers)) => {
                let list = layer_by_layer(layers).into_iter().filter_map(|(kind, path)| Some((kind, path?)));
                for (kind, path) in list {
                    overlay.lower.push(Layer { path: absolute(&path, "options")?, data: kind == "datadir+" });
                }
            }
            ("upperdir", Some(path)) => upper = Some(absolute(&unescaped(path), "options")?),
            ("workdir", Some(path)) => work = Some(absolute(&unescaped(path), "options")?),
            _ => overlay.options.push(unquoted(option)),
        }
    }
    overlay.upper = upper.zip(work);
    if overlay.lower.is_empty() {
        return Err(Error::new(Kind::Invalid, "an overlay without lowerdir", "").at(format!("{at}.options")));
    }
    Ok(Origin::Overlay(overlay))
}

/// As `mount(2)` takes it from overlayfs: what follows a backslash is itself.
fn unescaped(path: &str) -> String {
    let mut escaped = false;
    path.chars()
        .filter(|&character| {
            escaped = character == '\\' && !escaped;
            !escaped
        })
        .collect()
}

/// Quotes are for the commas of `mount(2)`'s one text.
fn unquoted((key, value): &(String, Option<String>)) -> (String, Option<String>) {
    let plain = |value: &String| {
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        inner.unwrap_or(value).to_owned()
    };
    (key.clone(), value.as_ref().map(plain))
}

fn loop_device(mut options: Vec<String>) -> (Option<bool>, Vec<String>) {
    if !options.iter().any(|option| option == "loop") {
        return (None, options);
    }
    let direct = options.iter().any(|option| option == "direct-io");
    options.retain(|option| option != "loop" && option != "direct-io");
    (Some(direct), options)
}

type Mappings = (Vec<IdMapping>, Vec<IdMapping>);

/// `uidmap=0:100000:65536,…` and the same for groups; the rest of the options comes back.
fn id_mappings(options: &[String], at: &str) -> Result<(Mappings, Vec<String>), Error> {
    let (mut uids, mut gids, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for option in options {
        match option.split_once('=') {
            Some(("uidmap", text)) => uids = mappings(text, at)?,
            Some(("gidmap", text)) => gids = mappings(text, at)?,
            _ => rest.push(option.clone()),
        }
    }
    if uids.is_empty() != gids.is_empty() {
        let what = "uidmap and gidmap only go together";
        return Err(Error::new(Kind::Invalid, what, "").at(format!("{at}.options")));
    }
    Ok(((uids, gids), rest))
}

fn mappings(text: &str, at: &str) -> Result<Vec<IdMapping>, Error> {
    let one = |mapping: &str| {
        let mut numbers = mapping.split(':').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(size)), None) => {
                Some(IdMapping { inside, outside, size })
            }
            _ => None,
        }
    };
    text.split(',').map(one).collect::<Option<Vec<_>>>().ok_or_else(|| {
        Error::new(Kind::Invalid, format!("cannot understand the id mapping {text:?}"), "")
            .at(format!("{at}.options"))
            .fix("write INSIDE:OUTSIDE:SIZE, more of them after commas")
    })
}

#[cfg(test)]
mod tests;
