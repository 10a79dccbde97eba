//! `runtimeclass/`: that every manifest is what Kubernetes takes, that every policy refuses what it is for and nothing
//! else, and that what they say of sandrun is so.

mod cluster;

/// The cluster's programs; the test is skipped where they are not.
macro_rules! cluster {
    () => {
        match $crate::runtimeclass::cluster::Cluster::find() {
            Ok(cluster) => cluster,
            Err(missing) => skip!("{missing}"),
        }
    };
}

mod admission;
mod apiserver;
mod facts;
mod manifests;
mod network;
