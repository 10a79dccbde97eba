//! Options as each version of containerd sends them.

use super::*;

/// A field of the wire format: number, and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let length = [(length & 0x7f) as u8 | 0x80, u8::try_from(length >> 7).unwrap()];
    [&[number << 3 | 2], &length[..], bytes].concat()
}

fn any(type_url: &str, value: Vec<u8>) -> Any {
    Any { type_url: type_url.to_owned(), value, ..Any::default() }
}

fn generic(body: &str) -> Any {
    let value = [field(1, b"io.containerd.sandrun.v2.options"), field(3, body.as_bytes())].concat();
    any("runtimeoptions.v1.Options", value)
}

fn read(options: &Any) -> Result<Settings> {
    Settings::read(Some(options), "k8s.io")
}

#[test]
fn without_any_everything_is_the_default() {
    for options in [None, Some(&any("", Vec::new()))] {
        let settings = Settings::read(options, "k8s.io").unwrap();
        assert_eq!(settings.root, Path::new("/run/containerd/sandrun/k8s.io"));
        assert_eq!((settings.level, settings.policy), (None, Origin::default()));
    }
}

#[test]
fn the_table_of_the_configuration() {
    let table = "TypeUrl = \"x\"\nlevel = \"strict\"\nroot = \"/r\"\npolicy = \"builtin:restricted\"\n\
                 systemd_cgroup = true\nprivate_ids = false\ndebug = true\n";
    let settings = read(&generic(table)).unwrap();
    assert_eq!(settings.level, Some(Level::Strict));
    assert_eq!(settings.root, Path::new("/r/k8s.io"));
    assert_eq!(settings.policy, Origin::parse("builtin:restricted").unwrap());
    assert_eq!((settings.systemd_cgroup, settings.private_ids, settings.debug), (true, Some(false), true));
}

#[test]
fn a_file_and_the_table_above_it() {
    let path = std::env::temp_dir().join(format!("sandrun-shim-options-{}", std::process::id()));
    std::fs::write(&path, "level = \"oci\"\nsystemd_cgroup = true\n").unwrap();
    let name = field(2, path.to_str().unwrap().as_bytes());
    // The name of the type up to containerd 1.5.
    let alone = read(&any("cri.runtimeoptions.v1.Options", name.clone()));
    let both = read(&any("runtimeoptions.v1.Options", [name, field(3, b"level = \"strict\"")].concat()));
    std::fs::remove_file(&path).unwrap();
    let (alone, both) = (alone.unwrap(), both.unwrap());
    assert_eq!((alone.level, alone.systemd_cgroup), (Some(Level::Oci), true));
    assert_eq!((both.level, both.systemd_cgroup), (Some(Level::Strict), true));
}

#[test]
fn those_of_containerds_own_shim() {
    let options = oci::Options {
        binary_name: "/usr/bin/runc".to_owned(),
        root: "/run/docker/runtime".to_owned(),
        systemd_cgroup: true,
        no_pivot_root: true,
        no_new_keyring: true,
        io_uid: 7,
        io_gid: 8,
        shim_cgroup: "/shims".to_owned(),
        ..oci::Options::default()
    };
    let options = any("containerd.runc.v1.Options", options.write_to_bytes().unwrap());
    let settings = read(&options).unwrap();
    assert_eq!(settings.root, Path::new("/run/docker/runtime/k8s.io"));
    assert!(settings.systemd_cgroup && settings.no_pivot_root && settings.no_new_keyring);
    assert_eq!((settings.io_owner, settings.shim_cgroup.as_str()), ((7, 8), "/shims"));
}

#[test]
fn what_cannot_be_meant_is_an_error_that_says_what_can() {
    for body in ["levle = \"strict\"", "level = \"hard\"", "level = 3", "level"] {
        let error = read(&generic(body)).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{body}");
        assert!(error.to_string().contains("they may have level, policy"), "{error}");
    }
    let missing = any("runtimeoptions.v1.Options", field(2, b"/nowhere/shim.toml"));
    assert_eq!(read(&missing).unwrap_err().kind, Kind::NotFound);
    assert_eq!(read(&any("somebody.else.Options", Vec::new())).unwrap_err().kind, Kind::Invalid);
    assert_eq!(read(&any("runtimeoptions.v1.Options", vec![0x1a, 9])).unwrap_err().kind, Kind::Invalid);
}
