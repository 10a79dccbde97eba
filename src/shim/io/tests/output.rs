//! What a process writes.

use super::*;

#[test]
fn everything_comes_through_a_fifo_and_then_the_end() {
    let place = Place::new();
    let wanted = Wanted { stdout: place.fifo("out"), ..Wanted::default() };
    let (sent, got) = on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let read = read_all(reader(&wanted.stdout));
        let [_stdin, stdout, stderr] = streams.child_ends().unwrap();
        assert!(streams.child_ends().is_none() && streams.console().is_none());
        streams.begin().unwrap();
        let bytes = numbers(300_000);
        let writes = write_all(stdout, bytes.clone());
        // Nobody asked for it: written to nowhere.
        File::from(stderr).write_all(b"lost").unwrap();
        join(writes).await;
        streams.drained().await;
        (bytes, join(read).await)
    });
    assert!(sent == got, "{} bytes of {}", got.len(), sent.len());
}

/// containerd is stopped, and started again later: the process waits, and nothing is lost.
#[test]
fn a_reader_that_goes_and_comes_back_finds_everything() {
    let place = Place::new();
    let wanted = Wanted { stdout: place.fifo("out"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let [_, stdout, _] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        let bytes = numbers(200_000);
        let writes = write_all(stdout, bytes.clone());
        let mut first = reader(&wanted.stdout);
        let (first, mut got) = join(thread::spawn(move || {
            let mut some = vec![0; 100_000];
            first.read_exact(&mut some).unwrap();
            (first, some)
        }))
        .await;
        drop(first);
        tokio::time::sleep(SHORT).await;
        assert!(!writes.is_finished(), "the process was not held back");
        let rest = read_all(reader(&wanted.stdout));
        join(writes).await;
        streams.drained().await;
        got.extend(join(rest).await);
        assert!(got == bytes, "{} bytes of {}", got.len(), bytes.len());
    });
}

#[test]
fn two_outputs_that_lead_to_one_fifo_keep_their_order() {
    let place = Place::new();
    let fifo = place.fifo("both");
    let wanted = Wanted { stdout: fifo.clone(), stderr: fifo, ..Wanted::default() };
    let got = on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let read = read_all(reader(&wanted.stdout));
        let [_, stdout, stderr] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        for number in 0..50 {
            let end = if number % 2 == 0 { &stdout } else { &stderr };
            rustix::io::write(end, format!("{number} ").as_bytes()).unwrap();
        }
        drop((stdout, stderr));
        streams.drained().await;
        join(read).await
    });
    let expected: String = (0..50).map(|number| format!("{number} ")).collect();
    assert_eq!(String::from_utf8(got).unwrap(), expected);
}

#[test]
fn a_file_is_made_and_appended_to() {
    let place = Place::new();
    let path = place.path("logs/pod/container.log");
    let uri = format!("file://{}", path.display());
    for expected in ["out err ", "out err out err "] {
        let wanted = Wanted { stdout: uri.clone(), stderr: uri.clone(), ..Wanted::default() };
        on_one_thread(async {
            let mut streams = opened(&wanted).await;
            let [_, stdout, stderr] = streams.child_ends().unwrap();
            streams.begin().unwrap();
            rustix::io::write(&stdout, b"out ").unwrap();
            rustix::io::write(&stderr, b"err ").unwrap();
            drop((stdout, stderr));
            streams.drained().await;
        });
        assert_eq!(text(&path), expected);
    }
}

/// Not in the way of another's: the event loop has one thread.
#[test]
fn a_reader_that_does_not_read_blocks_one_stream_only() {
    let place = Place::new();
    let wanted = Wanted { stdout: place.fifo("out"), stderr: place.fifo("err"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let [_, stdout, stderr] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        let stuck = write_all(stdout, vec![b'x'; 1 << 20]);
        tokio::time::sleep(SHORT).await;
        let read = read_all(reader(&wanted.stderr));
        join(write_all(stderr, numbers(10_000))).await;
        assert!(!stuck.is_finished());
        // Given up, both are closed: the reader sees the end, the writer that nobody reads.
        assert!(tokio::time::timeout(SHORT, streams.drained()).await.is_err());
        assert_eq!(join(read).await, numbers(10_000));
        while !stuck.is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(stuck.join().is_err());
    });
}

/// A process that went to the background with its standard output.
#[test]
fn an_output_that_somebody_keeps_open_is_not_waited_for_longer_than_the_limit() {
    let place = Place::new();
    let wanted = Wanted { stdout: place.fifo("out"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let [_, stdout, _] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        let read = read_all(reader(&wanted.stdout));
        rustix::io::write(&stdout, b"before").unwrap();
        assert!(tokio::time::timeout(SHORT, streams.drained()).await.is_err());
        assert_eq!(join(read).await, b"before");
        drop(stdout);
    });
}

#[test]
fn what_is_missing_is_told_with_its_path() {
    let place = Place::new();
    let missing = place.path("missing");
    let wanted = Wanted { stdout: missing.to_str().unwrap().to_owned(), ..Wanted::default() };
    let error = on_one_thread(Streams::open(&wanted)).err().unwrap();
    assert!(error.to_string().contains(&wanted.stdout), "{error}");
}
