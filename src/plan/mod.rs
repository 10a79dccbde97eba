//! What will be true of the workload.
