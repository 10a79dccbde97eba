//! The kernel's words, and the JSON.

use super::read::{list, pressure, rdma};
use super::*;

#[test]
fn pressure_is_read_with_and_without_a_full_line() {
    let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n";
    let read = pressure(text);
    assert_eq!(read.some, Stall { avg10: 1.5, avg60: 0.25, avg300: 0.0, total: 12345 });
    assert_eq!(read.full, Stall { avg10: 0.5, total: 7, ..Stall::default() });
    assert_eq!(pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n").full, Stall::default());
}

#[test]
fn a_list_becomes_numbers() {
    assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
    assert_eq!(list("\n"), [0; 0]);
}

#[test]
fn no_limit_is_the_largest_number() {
    let entry = |device: &str, handles, objects| RdmaEntry { device: device.to_owned(), handles, objects };
    let found = rdma("mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n");
    assert_eq!(found, [entry("mlx4_0", 2, 2000), entry("ocrdma1", 3, u32::MAX)]);
}

#[test]
fn devices_are_counted_and_the_total_is_left_out() {
    let entries = v1::entries("8:0 Read 4096\n8:0 Total 8192\n8:16 77\nTotal 8192\n");
    let found: Vec<_> = entries.iter().map(|it| (it.major, it.minor, &*it.op, it.value)).collect();
    assert_eq!(found, [(8, 0, "Read", 4096), (8, 0, "Total", 8192), (8, 16, "", 77)]);
}

#[test]
fn the_names_are_those_that_monitoring_reads() {
    let mut stats = Stats::default();
    stats.cpu.psi = Some(Pressure::default());
    stats.cpuset.flags.insert("cpu_exclusive".to_owned(), 1);
    stats.blkio.io_service_bytes_recursive.push(BlkioEntry { op: "Read".to_owned(), ..Default::default() });
    stats.blkio.io_queued_recursive.push(BlkioEntry::default());
    stats.hugetlb.insert("2MB".to_owned(), Hugetlb::default());
    let json = serde_json::to_value(&stats).expect("JSON");
    for path in [
        "/cpu/usage/total",
        "/cpu/throttling/throttledPeriods",
        "/cpu/psi/some/avg10",
        "/cpuset/cpu_exclusive",
        "/memory/usage/failcnt",
        "/memory/kernelTCP/limit",
        "/memory/raw",
        "/pids/current",
        "/blkio/ioServiceBytesRecursive/0/op",
        "/blkio/ioQueueRecursive/0/value",
        "/hugetlb/2MB/usage",
    ] {
        assert!(json.pointer(path).is_some(), "no {path} in {json}");
    }
}
