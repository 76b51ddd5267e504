//! Tests on a real cluster, and the benchmark.
