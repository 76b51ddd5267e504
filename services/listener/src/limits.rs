//! The limits of a listener, and the environment that sets them.

use std::{env, str::FromStr, time::Duration};

use anyhow::{Context, ensure};
use easycode_contract::runtime;

/// Bounds of one listener. [`Limits::default`] says what holds where nothing is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once from one address. An ingress is one peer, whoever asks through it.
    pub connections_per_peer: usize,
    /// Most bytes of a request's head, 8192 at least. A longer one is answered with 431.
    pub head_bytes: usize,
    /// Time from a head's first byte to its last; on a new connection, from when it was accepted.
    pub head_time: Duration,
    /// Time from the end of the head to the end of the body.
    pub body_time: Duration,
    /// Time that a connection may rest between two requests. Longer than what a proxy keeps it for (nginx: 60 s), so that the
    /// proxy is the one to close it.
    pub idle_time: Duration,
    /// Time for which a client may leave an answer unread.
    pub write_time: Duration,
}

/// The bytes that the HTTP parser needs at least.
const MIN_HEAD_BYTES: usize = 8192;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_peer: 256,
            head_bytes: 16 << 10,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The defaults, with what the environment sets otherwise.
    ///
    /// # Errors
    /// If a variable is no whole number above zero, or the limits contradict each other.
    pub fn from_environment() -> anyhow::Result<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    /// As [`Self::from_environment`], for probes and metrics: few ask for them, and each of these counts for little.
    ///
    /// # Errors
    /// As [`Self::from_environment`].
    pub fn of_probes() -> anyhow::Result<Self> {
        let limits = Self::from_environment()?;
        Ok(Self { connections: limits.connections.min(64), connections_per_peer: 16, ..limits })
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let default = Self::default();
        let seconds =
            |name, default: Duration| anyhow::Ok(Duration::from_secs(number(&variable, name, default.as_secs())?));
        let connections = number(&variable, runtime::HTTP_CONNECTIONS, default.connections)?;
        let limits = Self {
            connections,
            connections_per_peer: number(&variable, runtime::HTTP_CONNECTIONS_PER_PEER, connections.div_ceil(2))?,
            head_bytes: number(&variable, runtime::HTTP_HEAD_BYTES, default.head_bytes)?,
            head_time: seconds(runtime::HTTP_HEAD_SECONDS, default.head_time)?,
            body_time: seconds(runtime::HTTP_BODY_SECONDS, default.body_time)?,
            idle_time: seconds(runtime::HTTP_IDLE_SECONDS, default.idle_time)?,
            write_time: seconds(runtime::HTTP_WRITE_SECONDS, default.write_time)?,
        };
        let name = runtime::HTTP_HEAD_BYTES;
        ensure!(limits.head_bytes >= MIN_HEAD_BYTES, "{name} is less than {MIN_HEAD_BYTES}");
        Ok(limits)
    }
}

fn number<N>(variable: impl Fn(&str) -> Option<String>, name: &str, default: N) -> anyhow::Result<N>
where
    N: FromStr + PartialEq + Default,
{
    let Some(text) = variable(name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number != N::default());
    number.with_context(|| format!("{name} is no whole number above zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(variables: &[(&str, &str)]) -> anyhow::Result<Limits> {
        Limits::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_sets_limits_and_the_rest_stay_as_they_are() {
        assert_eq!(limits(&[]).unwrap(), Limits::default());
        let set = limits(&[(runtime::HTTP_CONNECTIONS, "20"), (runtime::HTTP_HEAD_SECONDS, "3")]).unwrap();
        let expected = Limits {
            connections: 20,
            connections_per_peer: 10,
            head_time: Duration::from_secs(3),
            ..Limits::default()
        };
        assert_eq!(set, expected);
    }

    #[test]
    fn a_limit_that_is_none_is_refused() {
        for (name, value) in [
            (runtime::HTTP_CONNECTIONS, "0"),
            (runtime::HTTP_CONNECTIONS_PER_PEER, "-1"),
            (runtime::HTTP_HEAD_BYTES, "100"),
            (runtime::HTTP_BODY_SECONDS, "30s"),
        ] {
            let error = limits(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
