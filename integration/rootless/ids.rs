//! More ids than the caller's own, by newuidmap(1) and newgidmap(1).

use serde_json::json;

use crate::support::{Bundle, Runtime, User, is_root, leaks};

/// Root inside is the user, and the first ids after it are those that were given.
fn with_given_ids(bundle: Bundle, user: &User) -> Bundle {
    let map = |own: u32, first: u32| {
        json!([
            { "containerID": 0, "hostID": own, "size": 1 },
            { "containerID": 1, "hostID": first, "size": 1000 }
        ])
    };
    let (uids, gids) = (map(user.id, user.given[0]), map(user.group, user.given[1]));
    bundle.rootless(user.id).edit(|config| {
        config["linux"]["uidMappings"] = uids;
        config["linux"]["gidMappings"] = gids;
    })
}

const SCRIPT: &str = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -G; \
    touch /dev/shm/f && chown 5:6 /dev/shm/f && stat -c %u:%g /dev/shm/f";

#[test]
fn ids_that_were_given_are_the_containers() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let Some(user) = User::new() else { skip!("needs newuidmap, newgidmap and useradd") };
    let bundle = with_given_ids(Bundle::shell(SCRIPT), &user)
        .edit(|config| config["process"]["user"]["additionalGids"] = json!([7, 9]));
    let runtime = Runtime::sandrun().of(&user, &[], &[]);
    let output = runtime.run(&bundle).ok();
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    let number = |id: u32| id.to_string();
    let [uid, gid, first, second] = [user.id, user.group, user.given[0], user.given[1]].map(number);
    let expected = [
        "0", &uid, "1", "1", &first, "1000", "0", &gid, "1", "1", &second, "1000", "allow", "0", "7", "9",
        "5:6",
    ];
    assert_eq!(words, expected, "{output}");
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn an_exec_is_among_the_same_ids() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let Some(user) = User::new() else { skip!("needs newuidmap, newgidmap and useradd") };
    let bundle = with_given_ids(Bundle::shell("sleep 60"), &user);
    let runtime = Runtime::sandrun().of(&user, &[], &[]);
    runtime.create(&bundle).ok();
    runtime.call(&["start", &bundle.id]).ok();
    let said = runtime.call(&["exec", "--user", "3:4", &bundle.id, "/bin/sh", "-c", "id -u; id -g"]).ok();
    assert_eq!(said.stdout, "3\n4\n");
    runtime.call(&["delete", "--force", &bundle.id]).ok();
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn ids_of_others_are_refused_in_the_words_of_newuidmap() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let Some(user) = User::new() else { skip!("needs newuidmap, newgidmap and useradd") };
    let bundle = with_given_ids(Bundle::shell(SCRIPT), &user)
        .edit(|config| config["linux"]["uidMappings"][1]["hostID"] = json!(0));
    let runtime = Runtime::sandrun().of(&user, &[], &[]);
    let output = runtime.run(&bundle);
    assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
    for words in ["linux.uidMappings", "newuidmap", "not allowed", "/etc/subuid"] {
        assert!(output.stderr.contains(words), "{words}: {output}");
    }
    leaks::assert_none(&runtime, &bundle);
}

#[test]
fn without_the_programs_only_ones_own_id_is_there() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let Some(user) = User::new() else { skip!("needs newuidmap, newgidmap and useradd") };
    // Nothing is found under a name that is no file any more.
    let script = "mount --bind /dev/null /usr/bin/newuidmap && mount --bind /dev/null /usr/bin/newgidmap && exec \"$@\"";
    let hidden = ["unshare", "-m", "sh", "-c", script, "sh"];
    let runtime = Runtime::sandrun().of(&user, &hidden, &[]);
    let several = with_given_ids(Bundle::shell(SCRIPT), &user);
    let output = runtime.run(&several);
    assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output}");
    for words in ["linux.uidMappings", "linux.gidMappings", "newuidmap(1) is not installed", "/etc/subgid"] {
        assert!(output.stderr.contains(words), "{words}: {output}");
    }
    let own = Bundle::shell("cat /proc/self/uid_map /proc/self/setgroups").rootless(user.id).edit(|config| {
        config["linux"]["gidMappings"][0]["hostID"] = json!(user.group);
    });
    let output = runtime.run(&own).ok();
    assert_eq!(
        output.stdout.split_whitespace().collect::<Vec<_>>(),
        ["0", &user.id.to_string(), "1", "deny"]
    );
}

#[test]
fn without_a_user_namespace_there_is_no_container() {
    skip_unless!(is_root(), "needs root, to become an ordinary user");
    let runtime = super::user();
    let bundle = Bundle::shell("true").rootless(super::USER).without_namespace("user").edit(|config| {
        let linux = config["linux"].as_object_mut().expect("an object");
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    for flags in [&[][..], &["--rootless", "true"], &["--rootless=auto"]] {
        let output = super::user().flags(flags).run(&bundle);
        assert!(output.code == 125 && output.stderr.contains("linux.namespaces"), "{output}");
    }
    let output = runtime.flags(&["--rootless", "perhaps"]).run(&bundle);
    assert!(output.code == 125 && output.stderr.contains("perhaps"), "{output}");
}
