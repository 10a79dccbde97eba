//! What is mounted, and with which ids.

use oci_spec::runtime::Mount as OciMount;

use super::options::{Options, RDONLY};
use super::{Idmap, Source};
use crate::error::{Error, Kind};
use crate::plan::Input;
use crate::plan::namespaces::{IdMapping, Namespaces};

pub(super) fn resolve(
    input: &Input<'_>,
    mount: &OciMount,
    options: &Options,
    destination: &str,
    at: &str,
) -> Result<Source, Error> {
    let fstype = mount.typ().as_deref().unwrap_or_default();
    let text = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
    match fstype {
        _ if options.bind || fstype == "bind" => bind(input, text, options, destination, at),
        _ if options.remount => Ok(Source::Remount { options: for_filesystem(fstype, None, options, at)? }),
        "" | "none" => Err(Error::new(Kind::Invalid, format!("mount of {destination} without a type"), "")
            .at(format!("{at}.type"))
            .fix("set a filesystem type, or the option bind")),
        "cgroup" | "cgroup2" => Ok(Source::Cgroup { unified: fstype == "cgroup2", views: Vec::new() }),
        _ if destination.starts_with("/proc/") => {
            let what = format!("a new {fstype} on {destination}");
            Err(Error::new(Kind::Invalid, what, "nothing new may be mounted in /proc")
                .at(format!("{at}.destination"))
                .fix("bind a file, or list the path in linux.maskedPaths"))
        }
        fstype => {
            let mut own = for_filesystem(fstype, text.as_deref(), options, at)?;
            own.extend(label(input, fstype, &own));
            Ok(Source::Filesystem {
                fstype: fstype.to_owned(),
                source: text,
                options: own,
                copy_up: options.copy_up,
                of_network: false,
            })
        }
    }
}

fn bind(
    input: &Input<'_>,
    source: Option<String>,
    options: &Options,
    destination: &str,
    at: &str,
) -> Result<Source, Error> {
    if options.remount {
        return Ok(Source::Remount { options: Vec::new() });
    }
    if options.copy_symlink && (options.source_nofollow || options.destination_nofollow) {
        let what = "copy-symlink together with src-nofollow or dest-nofollow";
        return Err(Error::new(Kind::Invalid, what, "a link is made or mounted, not both")
            .at(format!("{at}.options"))
            .fix("remove one of them"));
    }
    match source.filter(|path| !path.is_empty()) {
        Some(path) => Ok(Source::Bind {
            path: input.bundle.join(path).to_string_lossy().into_owned(),
            recursive: options.recursive,
            nofollow: options.source_nofollow,
            copy_link: options.copy_symlink,
            judged: false,
        }),
        None => Err(Error::new(Kind::Invalid, format!("bind mount of {destination} without a source"), "")
            .at(format!("{at}.source"))),
    }
}

/// Bytes that `fsconfig(2)` takes as a value.
const LONGEST_VALUE: usize = 255;

/// The options of a filesystem as `fsconfig(2)` takes them.
fn for_filesystem(
    fstype: &str,
    source: Option<&str>,
    options: &Options,
    at: &str,
) -> Result<Vec<(String, Option<String>)>, Error> {
    let mut own = superblock(options);
    // A device is opened for writing, and a journal on it replayed, unless the filesystem itself is read-only.
    if options.set & RDONLY != 0 && source.is_some_and(|source| source.starts_with('/')) {
        own.push(("ro".to_owned(), None));
    }
    for (key, value) in &options.data {
        match value {
            Some(layers) if fstype == "overlay" && key == "lowerdir" && layers.len() > LONGEST_VALUE => {
                own.extend(layer_by_layer(layers));
            }
            value => own.push((key.clone(), value.clone())),
        }
    }
    match own.iter().find(|(_, value)| value.as_ref().is_some_and(|value| value.len() > LONGEST_VALUE)) {
        None => Ok(own),
        Some((key, _)) => {
            let what = format!("the value of {key} is longer than {LONGEST_VALUE} bytes");
            Err(Error::new(Kind::Unsupported, what, "fsconfig(2) takes no more").at(format!("{at}.options")))
        }
    }
}

/// The flags of the superblock as options.
pub(super) fn superblock(options: &Options) -> Vec<(String, Option<String>)> {
    options.superblock.iter().map(|flag| ((*flag).to_owned(), None)).collect()
}

/// The layers of an overlay one by one (Linux 6.7): together they are longer than a value may be. `::` stands
/// before those that only hold data.
pub(super) fn layer_by_layer(layers: &str) -> Vec<(String, Option<String>)> {
    let mut list = Vec::new();
    let (mut layer, mut kind, mut escaped) = (String::new(), "lowerdir+", false);
    for character in layers.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            ':' if !escaped && layer.is_empty() => kind = "datadir+",
            ':' if !escaped => list.push((kind.to_owned(), Some(std::mem::take(&mut layer)))),
            other => {
                layer.push(other);
                escaped = false;
            }
        }
    }
    list.push((kind.to_owned(), Some(layer)));
    list
}

/// The label of what has none of its own (`linux.mountLabel`). procfs and sysfs have theirs, a message queue takes
/// it as an attribute.
fn label(
    input: &Input<'_>,
    fstype: &str,
    own: &[(String, Option<String>)],
) -> Option<(String, Option<String>)> {
    let label = super::label(input)?;
    let takes_none = matches!(fstype, "proc" | "sysfs" | "mqueue");
    let chosen = own.iter().any(|(key, _)| key.ends_with("context"));
    (!takes_none && !chosen).then(|| ("context".to_owned(), Some(label)))
}

pub(super) fn idmap(
    mount: &OciMount,
    options: &Options,
    source: &Source,
    namespaces: &Namespaces,
    at: &str,
) -> Result<Option<Idmap>, Error> {
    let own =
        |list: &Option<Vec<_>>| -> Vec<IdMapping> { list.iter().flatten().map(IdMapping::from).collect() };
    let (uid_mappings, gid_mappings) = (own(mount.uid_mappings()), own(mount.gid_mappings()));
    let invalid = |what: &str, why: &str| Error::new(Kind::Invalid, what, why).at(at.to_owned());
    if options.idmap.is_none() && uid_mappings.is_empty() && gid_mappings.is_empty() {
        return Ok(None);
    }
    if matches!(source, Source::Remount { .. } | Source::Cgroup { .. }) {
        let why = "mount_setattr(2) maps the ids of a mount before it is in use, and of no cgroup";
        return Err(Error::new(Kind::Unsupported, "such a mount cannot be idmapped", why).at(at.to_owned()));
    }
    if uid_mappings.is_empty() != gid_mappings.is_empty() {
        return Err(invalid("an idmapped mount needs both uidMappings and gidMappings", ""));
    }
    if uid_mappings.is_empty() && !namespaces.has_user() {
        let why = "the container has no user namespace of its own to take them from";
        return Err(invalid("an idmapped mount without mappings", why)
            .fix("set uidMappings and gidMappings of the mount"));
    }
    let recursive = options.idmap.unwrap_or(false);
    Ok(Some(Idmap { recursive, or_unmapped: false, uid_mappings, gid_mappings }))
}
