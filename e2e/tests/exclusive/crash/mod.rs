//! The operator killed at each of its steps once: whatever it leaves, the next leader goes on from there, and the tenant ends
//! right. A step is held by a block from outside, so each kill comes at a known place.

mod platform;
mod right;
