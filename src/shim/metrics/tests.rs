use containerd_shim_protos::cgroups::metrics::Metrics as V1;
use containerd_shim_protos::cgroups_v2::metrics::Metrics as V2;
use containerd_shim_protos::protobuf::MessageFull;

use super::*;
use crate::cgroup::stats::{BlkioEntry, MemoryUsage, RdmaEntry};

fn entry(op: &str, value: u64) -> BlkioEntry {
    BlkioEntry { major: 8, minor: 16, op: op.to_owned(), value }
}

#[test]
fn containerd_finds_the_messages_by_their_names() {
    let used = any("v1", &v1::metrics(&Stats::default(), &v1::Devices::new())).unwrap();
    assert_eq!(used.type_url, V1::descriptor().full_name());
    assert!(V1::parse_from_bytes(&used.value).unwrap().pids.is_some());
    let used = any("v2", &v2::metrics(&Stats::default())).unwrap();
    assert_eq!(used.type_url, V2::descriptor().full_name());
    assert!(V2::parse_from_bytes(&used.value).unwrap().cpu.is_some());
}

/// What the reader of cgroups finds has a place, so a name that is misspelt shows as a field that stays 0.
#[test]
fn every_field_of_the_memory_is_filled() {
    let mut stats = Stats::default();
    for (number, name) in MEMORY_STAT.split_whitespace().enumerate() {
        stats.memory.raw.insert(name.to_owned(), number as u64 + 1);
    }
    for usage in [
        &mut stats.memory.usage,
        &mut stats.memory.swap,
        &mut stats.memory.swap_alone,
        &mut stats.memory.kernel,
        &mut stats.memory.kernel_tcp,
    ] {
        *usage = MemoryUsage { limit: 9, usage: 8, max: 7, failcnt: 6 };
    }
    stats.memory.psi = Some(crate::cgroup::stats::Pressure::default());
    let v1 = v1::metrics(&stats, &v1::Devices::new());
    assert_eq!(zeroes(&*v1.memory), [""; 0]);
    let v2 = v2::metrics(&stats);
    assert_eq!(zeroes(&*v2.memory), [""; 0]);
}

/// The fields that have nothing.
fn zeroes<M: MessageFull>(message: &M) -> Vec<String> {
    let descriptor = M::descriptor();
    let empty = descriptor.fields().filter(|field| !field.has_field(message));
    empty.map(|field| field.name().to_owned()).collect()
}

/// Of Linux 6.18, v1 and v2.
const MEMORY_STAT: &str = "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault \
    inactive_anon active_anon inactive_file active_file unevictable hierarchical_memory_limit \
    hierarchical_memsw_limit total_cache total_rss total_rss_huge total_mapped_file total_dirty total_writeback \
    total_pgpgin total_pgpgout total_pgfault total_pgmajfault total_inactive_anon total_active_anon \
    total_inactive_file total_active_file total_unevictable anon file kernel_stack slab sock shmem file_mapped \
    file_dirty file_writeback anon_thp slab_reclaimable slab_unreclaimable workingset_refault \
    workingset_activate workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree \
    pglazyfreed thp_fault_alloc thp_collapse_alloc";

#[test]
fn input_and_output_are_told_by_device() {
    let mut stats = Stats::default();
    stats.blkio.io_service_bytes_recursive = vec![entry("Read", 4096), entry("Write", 512)];
    stats.blkio.io_serviced_recursive = vec![entry("Read", 2), entry("Write", 1)];
    let io = v2::metrics(&stats).io.usage.clone();
    let found: Vec<_> =
        io.iter().map(|it| (it.major, it.minor, it.rbytes, it.wbytes, it.rios, it.wios)).collect();
    assert_eq!(found, [(8, 16, 4096, 512, 2, 1)]);
    let devices = v1::partitions("major minor  #blocks  name\n\n   8       16     1024 sdb\n");
    let io = v1::metrics(&stats, &devices).blkio.io_service_bytes_recursive.clone();
    let found: Vec<_> = io.iter().map(|it| (it.device.as_str(), it.op.as_str(), it.value)).collect();
    assert_eq!(found, [("/dev/sdb", "Read", 4096), ("/dev/sdb", "Write", 512)]);
}

#[test]
fn no_limit_of_processes_and_devices_is_the_largest_number() {
    let mut stats = Stats::default();
    stats.pids.current = 3;
    stats.rdma.limit = vec![RdmaEntry { device: "mlx4_0".to_owned(), handles: 1, objects: u32::MAX }];
    let v1 = v1::metrics(&stats, &v1::Devices::new());
    assert_eq!((v1.pids.current, v1.pids.limit), (3, u64::MAX));
    assert_eq!(v1.rdma.limit.first().unwrap().hca_objects, u32::MAX);
    stats.pids.limit = 7;
    assert_eq!(v2::metrics(&stats).pids.limit, 7);
}

/// Of this host, whatever it has: the cgroup that the tests run in.
#[test]
fn a_cgroup_of_this_host_is_read() {
    let layout = crate::cgroup::detect().unwrap();
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = text.lines().filter_map(|line| line.rsplit(':').next()).find(|path| *path != "/");
    let Some(dirs) = own.and_then(|path| Dirs::open(path, &layout).ok()) else {
        eprintln!("skipped: the tests run in no cgroup of their own");
        return;
    };
    assert!(!of(&dirs).unwrap().value.is_empty());
}
