//! Where the cgroup is: `linux.cgroupsPath`, which nobody may use to leave the hierarchy.

use super::Request;
use crate::error::{Error, Kind};

const AT: &str = "linux.cgroupsPath";
/// What a directory name may have (`NAME_MAX`), and a path (`PATH_MAX`, with room for the mount point).
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 3072;

/// The path from the root of each hierarchy, with a leading slash; `/sandrun-<id>` where none is given. Where
/// the caller may make cgroups in one place only, what does not start at the root starts there.
pub(super) fn resolve(request: &Request<'_>) -> Result<String, Error> {
    let delegated = request.delegated.unwrap_or_default();
    let path = match request.path {
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(path) if !path.is_empty() => format!("{delegated}/{path}"),
        _ => format!("{delegated}{}", default_path(request.id)),
    };
    let components = path.strip_prefix('/').unwrap_or(&path);
    let reason = components.split('/').find_map(fault).or_else(|| {
        (components.len() > LONGEST_PATH).then(|| format!("it is longer than {LONGEST_PATH} bytes"))
    });
    match reason {
        None => Ok(format!("/{components}")),
        Some(why) => Err(Error::new(Kind::Invalid, format!("cannot use the cgroup path {path:?}"), why)
            .at(AT)
            .fix("name a cgroup below the root of the hierarchy, such as /sandrun/web")),
    }
}

/// Where the cgroup of a container is that asks for no path.
pub fn default_path(id: &str) -> String {
    format!("/sandrun-{id}")
}

/// Whether the path of a plan could be this one.
pub fn allowed(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|components| components.split('/').all(|name| fault(name).is_none()))
}

/// What is wrong with one component.
fn fault(name: &str) -> Option<String> {
    match name {
        "" => Some("it has an empty component".to_owned()),
        "." | ".." => Some(format!("it has the component {name:?}")),
        _ if name.len() > LONGEST_NAME => Some(format!("a component is longer than {LONGEST_NAME} bytes")),
        _ if name.chars().any(char::is_control) => Some("it has a control character".to_owned()),
        _ => None,
    }
}
