//! Sizes as go-units has them.

use super::size;

#[test]
fn sizes_are_those_of_go_units() {
    for (text, bytes) in [
        ("0", 0),
        ("-1", -1),
        ("67108864", 64 << 20),
        ("32b", 32),
        ("32k", 32 << 10),
        ("32KB", 32 << 10),
        ("32 Mb", 32 << 20),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("2T", 2 << 40),
        ("1p", 1 << 50),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_no_size_is_refused() {
    for text in ["", "-2", "x", "1x", "1ib", "M", "--1", "1kk", "nan", "inf", "1e400", "9999999p", "1,5M"] {
        assert!(size(text).is_err(), "{text:?} became {:?}", size(text));
    }
}
