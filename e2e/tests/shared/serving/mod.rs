//! What a ready platform serves, by its API as it is documented.

mod context;
mod crm;
mod input;
