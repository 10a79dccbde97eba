//! Programs that take what a process writes.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A script that is a logger, with `log` where it leaves what it found.
fn script(place: &Place, lines: &str) -> String {
    let path = place.path("logger");
    let log = place.path("log");
    std::fs::write(&path, format!("#!/bin/sh\nlog={}\n{lines}\n", log.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn wanted(uri: String) -> Wanted {
    let (namespace, id) = ("k8s.io".to_owned(), "c1".to_owned());
    Wanted { stdout: uri.clone(), stderr: uri, namespace, id, ..Wanted::default() }
}

const READS: &str = "exec 5>&-
echo \"$CONTAINER_NAMESPACE $CONTAINER_ID $*\" >$log
/bin/cat <&3 >>$log
/bin/cat <&4 >>$log";

#[test]
fn it_reads_both_outputs_and_is_waited_for() {
    let place = Place::new();
    let wanted = wanted(format!("binary://{}?a=b&c=d", script(&place, READS)));
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let [_, stdout, stderr] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        rustix::io::write(&stdout, b"out ").unwrap();
        rustix::io::write(&stderr, b"err").unwrap();
        drop((stdout, stderr));
        streams.drained().await;
    });
    assert_eq!(text(place.path("log")), "k8s.io c1 a b c d\nout err");
}

#[test]
fn the_second_form_has_to_say_that_it_is_ready() {
    let place = Place::new();
    let program = script(&place, READS);
    let error = on_one_thread(Streams::open(&wanted(format!("binary-v2://{program}")))).err().unwrap();
    assert!(error.to_string().contains("without writing a byte"), "{error}");

    let place = Place::new();
    let program = script(&place, "/bin/sleep 0.1; echo ready >$log; printf x >&5; exec /bin/cat <&3 >>$log");
    on_one_thread(async {
        let mut streams = opened(&wanted(format!("binary-v2://{program}"))).await;
        assert_eq!(text(place.path("log")), "ready\n");
        let [_, stdout, _] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        rustix::io::write(&stdout, b"words").unwrap();
        drop(stdout);
        streams.drained().await;
    });
    assert_eq!(text(place.path("log")), "ready\nwords");
}

#[test]
fn one_that_does_not_end_is_ended() {
    let place = Place::new();
    let lines =
        "trap 'echo asked >>$log; exit' TERM; exec 5>&-; echo runs >$log; while :; do /bin/sleep 0.05; done";
    let wanted = wanted(format!("binary://{}", script(&place, lines)));
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        drop(streams.child_ends());
        streams.begin().unwrap();
        while !place.path("log").exists() || text(place.path("log")).is_empty() {
            tokio::time::sleep(SHORT).await;
        }
        assert!(tokio::time::timeout(SHORT, streams.drained()).await.is_err());
        while text(place.path("log")) != "runs\nasked\n" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_terminal_leads_to_it_too() {
    let place = Place::new();
    let mut wanted = wanted(format!("binary://{}", script(&place, READS)));
    (wanted.terminal, wanted.stderr) = (true, String::new());
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let slave = super::terminal::send(&streams.console().unwrap());
        streams.begin().unwrap();
        rustix::io::write(&slave, b"seen\n").unwrap();
        drop(slave);
        streams.drained().await;
    });
    assert_eq!(text(place.path("log")), "k8s.io c1 \nseen\r\n");
}
