//! What the tests on a real cluster and the benchmark share. They work on any cluster that `make deploy` has prepared, and
//! don't know which it is.

pub mod bench;
pub mod block;
pub mod cluster;
pub mod console;
pub mod deletion;
pub mod diagnosis;
pub mod elsewhere;
pub mod faults;
pub mod holdings;
pub mod isolation;
mod leftovers;
pub mod login_server;
pub mod mending;
pub mod moves;
pub mod objects;
pub mod operator;
pub mod own_instance;
pub mod own_platform;
pub mod own_pod;
pub mod people;
pub mod platform;
pub mod postgres;
pub mod probes;
pub mod reach;
pub mod releases;
pub mod signals;
pub mod soak;
pub mod tenant;
pub mod tokens;
pub use easycode_testing::traffic;
pub mod trail;
pub mod wait;

pub use easycode_testing::browser;
