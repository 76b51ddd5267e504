//! The customer relationship service.
