//! What a process reads.

use super::*;

#[test]
fn it_ends_when_it_is_closed_and_after_what_was_written() {
    let place = Place::new();
    let wanted = Wanted { stdin: place.fifo("in"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let [stdin, ..] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        let read = read_all(File::from(stdin));
        // Two that come and go, as `kubectl attach` does.
        for words in ["one ", "two "] {
            writer(&wanted.stdin).write_all(words.as_bytes()).unwrap();
            tokio::time::sleep(SHORT).await;
            assert!(!read.is_finished(), "standard input ended with whoever wrote");
        }
        let mut last = writer(&wanted.stdin);
        last.write_all(&numbers(5_000)).unwrap();
        streams.close_stdin();
        last.write_all(b"last").unwrap();
        drop(last);
        let mut expected = b"one two ".to_vec();
        expected.extend(numbers(5_000));
        expected.extend(b"last");
        assert!(join(read).await == expected);
    });
}

#[test]
fn it_can_be_closed_before_the_process_is_there() {
    let place = Place::new();
    let wanted = Wanted { stdin: place.fifo("in"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        streams.close_stdin();
        let [stdin, ..] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        writer(&wanted.stdin).write_all(b"early").unwrap();
        assert_eq!(join(read_all(File::from(stdin))).await, b"early");
    });
}

/// More than all pipes hold: whoever writes waits for the process.
#[test]
fn a_process_that_does_not_read_holds_the_writer_back() {
    let place = Place::new();
    let wanted = Wanted { stdin: place.fifo("in"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        let [stdin, ..] = streams.child_ends().unwrap();
        streams.begin().unwrap();
        let to = OpenOptions::new().write(true).open(&wanted.stdin).unwrap();
        let writes = write_all(to.into(), numbers(100_000));
        tokio::time::sleep(SHORT).await;
        assert!(!writes.is_finished());
        let read = read_all(File::from(stdin));
        join(writes).await;
        streams.close_stdin();
        assert!(join(read).await == numbers(100_000));
    });
}

#[test]
fn a_process_that_closes_it_lets_the_writer_know() {
    let place = Place::new();
    let wanted = Wanted { stdin: place.fifo("in"), ..Wanted::default() };
    on_one_thread(async {
        let mut streams = opened(&wanted).await;
        drop(streams.child_ends());
        streams.begin().unwrap();
        streams.close_stdin();
        let mut to = writer(&wanted.stdin);
        to.write_all(b"x").unwrap();
        tokio::time::sleep(SHORT).await;
        let error = to.write_all(b"y").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn without_any_it_is_at_its_end() {
    on_one_thread(async {
        let mut streams = opened(&Wanted::default()).await;
        let [stdin, ..] = streams.child_ends().unwrap();
        assert_eq!(join(read_all(File::from(stdin))).await, b"");
    });
}

#[test]
fn it_comes_from_a_fifo_only() {
    let place = Place::new();
    let path = place.path("plain");
    std::fs::write(&path, "text").unwrap();
    let wanted = Wanted { stdin: path.to_str().unwrap().to_owned(), ..Wanted::default() };
    let error = on_one_thread(Streams::open(&wanted)).err().unwrap();
    assert!(error.to_string().contains("it is no fifo"), "{error}");
}
