//! Where the cgroup is: `linux.cgroupsPath`, which nobody may use to leave the hierarchy.

use super::{Request, systemd};
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

/// The cgroup above that of a container with this `linux.cgroupsPath`, in either of its forms; none where that is the
/// root, or the path is none.
pub fn above(path: &str) -> Option<String> {
    let above = match path.split_once(':') {
        Some((slice, _)) if !path.starts_with('/') => systemd::expand(slice)?,
        _ => path.trim_end_matches('/').rsplit_once('/')?.0.to_owned(),
    };
    Some(above).filter(|above| allowed(above))
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

#[cfg(test)]
mod tests {
    use super::above;

    #[test]
    fn what_is_above_a_container() {
        let cases = [
            ("/kubepods/burstable/pod1/c1", Some("/kubepods/burstable/pod1")),
            (
                "kubepods-burstable-pod1.slice:cri-containerd:c1",
                Some("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"),
            ),
            ("/c1", None),
            ("c1", None),
            ("", None),
            ("/a/../c1", None),
            ("-.slice:cri-containerd:c1", None),
            ("nonsense:cri-containerd:c1", None),
        ];
        for (path, expected) in cases {
            assert_eq!(above(path).as_deref(), expected, "{path}");
        }
    }
}
