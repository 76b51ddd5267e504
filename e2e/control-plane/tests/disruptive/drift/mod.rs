//! What someone else changes in what the operator has made is changed back: objects at once, since it watches them; grants and
//! registry at its next look into Postgres.

mod objects;
mod postgres;
