//! The shared Postgres of a platform: what is there (`survey`), what should be (`plan`), and making it so (`database`).
//!
//! `statements` has all SQL text of roles and grants; names reach it only as [`easycode_contract::database::Identifier`].

pub mod audit;
pub mod catch_up;
mod copy_login;
pub mod credentials;
pub mod database;
pub mod plan;
pub mod relocation;
mod rotation;
pub mod setup;
pub mod statements;
mod structure;
pub mod survey;

use easycode_crds::conditions::reason;

pub use copy_login::CopySide;
pub use database::Database;

/// Why the database could not be brought to plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Postgres could not be reached; waiting helps.
    #[error("Postgres does not answer: {0}")]
    Unavailable(String),
    /// Postgres has no room to write; it reads on. Without its own words, which name another file each time.
    #[error(
        "the volume of Postgres is full: what is there is read, and nothing is written; make room, or expand the volume"
    )]
    Full,
    /// Postgres refused a statement.
    #[error("Postgres refused: {0}")]
    Refused(String),
}

impl Error {
    /// The condition reason of the error.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full => reason::VOLUME_FULL,
            Self::Unavailable(_) | Self::Refused(_) => reason::DATABASE_UNAVAILABLE,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                if code == "53100" {
                    return Self::Full;
                }
                // Class 57: shutting down or starting up; 53: out of resources; 08: connection lost.
                if ["57", "53", "08"].iter().any(|class| code.starts_with(class)) {
                    Self::Unavailable(error.message().to_owned())
                } else {
                    Self::Refused(format!("{} (SQLSTATE {code})", error.message()))
                }
            }
            sqlx::Error::PoolTimedOut => {
                Self::Unavailable("no connection within 5 s; is it up and reachable?".to_owned())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}
