//! The EasyCode tenancy operator.
//!
//! Each controller goes `observe → plan → apply → status`: [`tenant`], [`platform`], [`instance`], [`release`]. What a platform
//! and an instance have in common is a [`stack`]. A plan is pure; IO is in [`kubernetes`] and [`postgres`]; [`isolation`] attacks
//! what was made; [`runtime`] is what runs beside the controllers.

pub mod audit;
pub mod cli;
pub mod controllers;
pub mod instance;
pub mod isolation;
pub mod kubernetes;
pub mod platform;
pub mod postgres;
pub mod release;
pub mod runtime;
pub mod stack;
pub mod tenant;
