//! On a directory that looks like the filesystem; what the kernel would do in it, the tests do.

use super::*;
use crate::plan::intel_rdt::Shares;

struct Fake(Resctrl);

impl Fake {
    /// With L3 and memory bandwidth control, monitoring, and one group that somebody has made.
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("sandrun-resctrl-{name}-{}", std::process::id()));
        for dir in ["info/L3", "info/MB", "info/L3_MON", "mon_groups"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let fake = Self(Resctrl { root });
        fake.fill("");
        fs::create_dir(fake.path("shared")).unwrap();
        fake.fill("shared");
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.root.join(name)
    }

    /// What the kernel puts into a new group.
    fn fill(&self, group: &str) {
        fs::write(self.path(group).join("tasks"), "").unwrap();
        fs::write(self.path(group).join("schemata"), "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n").unwrap();
        fs::create_dir_all(self.path(group).join("mon_groups")).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // The test may have failed half way.
        fs::remove_dir_all(&self.0.root).unwrap_or_default();
    }
}

fn schema(line: &str, must_match: bool) -> Schema {
    Schema { line: line.to_owned(), must_match, at: format!("field of {line}") }
}

fn plan(group: &str, own: bool, schemata: Vec<Schema>, monitor: bool) -> IntelRdt {
    IntelRdt { group: group.to_owned(), own, schemata, monitor: monitor.then(|| "web".to_owned()) }
}

#[test]
fn the_mount_is_found_wherever_it_is() {
    let table = "22 1 0:20 / /proc rw - proc proc rw\n\
                 30 22 0:31 /shared /mnt rw - resctrl resctrl rw\n\
                 31 22 0:31 / /sys/fs/res\\040ctrl rw,nosuid shared:9 - resctrl resctrl rw,cdp\n";
    assert_eq!(mount_point(table), Some(PathBuf::from("/sys/fs/res ctrl")));
    assert_eq!(mount_point("22 1 0:20 / /proc rw - proc resctrl rw\n"), None);
}

#[test]
fn a_group_of_its_own_is_made_filled_joined_and_removed() {
    let fake = Fake::new("own");
    let plan = plan("web", true, vec![schema("L3:0=7f0", true), schema("MB:0=20", true)], true);
    assert!(fake.0.make_group(&plan).unwrap());
    fake.fill("web");
    fake.0.write_schemata(&plan, true).unwrap();
    assert!(fake.read("web/schemata").starts_with("MB:0=20\n"), "the last line is written last");
    fake.0.make_monitor(&plan).unwrap();
    fs::write(fake.path("web/mon_groups/web/tasks"), "").unwrap();
    fake.0.join(&plan, 4821).unwrap();
    assert_eq!(
        (fake.read("web/tasks"), fake.read("web/mon_groups/web/tasks")),
        ("4821".into(), "4821".into())
    );
    assert!(fake.0.confirm(&plan, 4821).unwrap().starts_with("group \"web\", MB:0=20"));
    assert!(fake.0.confirm(&plan, 482).is_err(), "another process");
    assert_eq!(fake.0.make_group(&plan).unwrap_err().kind, Kind::Exists, "it is not taken from anybody");
    for file in ["web/mon_groups/web/tasks", "web/tasks", "web/schemata"] {
        fs::remove_file(fake.path(file)).unwrap();
    }
    // The kernel removes this one with the group.
    assert_eq!(plan.removed(), ["web/mon_groups/web", "web"]);
    fake.0.remove(&plan.removed()[..1]).unwrap();
    fs::remove_dir(fake.path("web/mon_groups")).unwrap();
    fake.0.remove(&plan.removed()).unwrap();
    assert!(!fake.path("web").exists() && fake.path("shared").exists());
}

#[test]
fn a_shared_group_is_joined_as_it_is_and_stays() {
    let fake = Fake::new("shared");
    let bare = plan("shared", false, Vec::new(), false);
    fake.0.make(&bare).unwrap();
    fake.0.join(&bare, 7).unwrap();
    assert_eq!(fake.read("shared/tasks"), "7");
    assert!(bare.removed().is_empty());
    let missing = fake.0.make(&plan("none", false, Vec::new(), false)).unwrap_err();
    assert_eq!((missing.kind, missing.at.as_deref()), (Kind::Invalid, Some("linux.intelRdt.closID")));
    assert!(!fake.path("none").exists());
    let default = plan("", false, Vec::new(), true);
    fake.0.make(&default).unwrap();
    assert!(fake.path("mon_groups/web").is_dir());
    assert_eq!(default.removed(), ["mon_groups/web"]);
}

#[test]
fn a_shared_group_must_share_as_asked() {
    let fake = Fake::new("compare");
    let ask = |schema| fake.0.make(&plan("shared", false, vec![schema], false));
    ask(schema("L3:1=07FF", true)).unwrap();
    fake.fill("shared");
    for line in ["L3:0=7f0", "L3:2=7ff", "MB:0=20"] {
        let error = ask(schema(line, true)).unwrap_err();
        assert_eq!((error.kind, error.at), (Kind::Invalid, Some(format!("field of {line}"))));
    }
    assert!(fake.read("shared/schemata").contains("L3:0=7ff"), "nothing was written");
    ask(schema("L3:0=7f0", false)).unwrap();
    assert!(fake.read("shared/schemata").starts_with("L3:0=7f0\n"), "a line of schemata is written");
}

#[test]
fn what_the_cpu_cannot_divide_is_refused_by_field_and_kernel() {
    let fake = Fake::new("missing");
    fs::remove_dir(fake.path("info/MB")).unwrap();
    fs::remove_dir(fake.path("info/L3_MON")).unwrap();
    for (asked, at, since) in [
        (plan("web", true, vec![schema("MB:0=20", true)], false), "field of MB:0=20", "Linux 4.12"),
        (plan("web", true, Vec::new(), true), "linux.intelRdt.enableMonitoring", "Linux 4.14"),
    ] {
        let error = fake.0.make(&asked).unwrap_err();
        assert_eq!((error.kind, error.at.as_deref()), (Kind::Unsupported, Some(at)));
        assert!(error.to_string().contains(since), "{error}");
    }
    assert!(!fake.path("web").exists(), "nothing is made before all is known to work");
}

#[test]
fn the_kernels_own_reason_is_told() {
    let fake = Fake::new("status");
    fs::write(fake.path("info/last_cmd_status"), "Mask f00f has non-consecutive 1-bits\n").unwrap();
    fs::remove_file(fake.path("shared/schemata")).unwrap();
    let error = fake.0.write_schemata(&plan("shared", false, vec![schema("L3:0=f00f", false)], false), true);
    let error = error.unwrap_err();
    assert!(error.why.contains("non-consecutive 1-bits"), "{error}");
}

#[test]
fn a_record_leads_nowhere_else() {
    let fake = Fake::new("record");
    let dirs = ["..", "", "/tmp", "a/../..", "shared/.", "gone"].map(str::to_owned);
    fake.0.remove(&dirs).unwrap();
    assert!(fake.path("shared").exists());
}

#[test]
fn a_group_gets_other_shares_all_or_none() {
    let fake = Fake::new("change");
    let plan = IntelRdt { group: "shared".into(), own: false, schemata: Vec::new(), monitor: None };
    let lines = |shares: Shares| shares.lines().unwrap();
    let l3 = |line: &str| Shares { l3_cache: Some(line.to_owned()), ..Shares::default() };
    fake.0.change(&plan, &lines(l3("L3:0=f"))).unwrap();
    assert!(fake.read("shared/schemata").starts_with("L3:0=f\n"), "{}", fake.read("shared/schemata"));
    fs::remove_dir(fake.path("info/MB")).unwrap();
    let both = Shares { memory_bandwidth: Some("MB:0=10".to_owned()), ..l3("L3:0=3") };
    let before = fake.read("shared/schemata");
    let error = fake.0.change(&plan, &lines(both)).unwrap_err();
    assert_eq!((error.kind, error.at.as_deref()), (Kind::Unsupported, Some("--mem-bw-schema")), "{error}");
    assert_eq!(fake.read("shared/schemata"), before, "one of two was written");
}

#[test]
fn shares_that_are_no_lines_are_refused() {
    let shares = Shares { l3_cache: Some("MB:0=10".into()), memory_bandwidth: Some("MB".into()) };
    let errors = shares.lines().unwrap_err();
    let places: Vec<_> = errors.iter().filter_map(|error| error.at.as_deref()).collect();
    assert_eq!(places, ["--l3-cache-schema", "--mem-bw-schema"]);
}

#[test]
fn new_lines_replace_those_for_the_same_resource() {
    let schema = |line: &str| Schema { line: line.into(), must_match: false, at: String::new() };
    let mut plan = IntelRdt {
        group: "g".into(),
        own: true,
        schemata: vec![schema("L3:0=f"), schema("MB:0=9")],
        monitor: None,
    };
    plan.give(vec![schema("L3:0=3")]);
    let lines: Vec<&str> = plan.schemata.iter().map(|schema| schema.line.as_str()).collect();
    assert_eq!(lines, ["MB:0=9", "L3:0=3"]);
}
