//! What the environment says about simulated runs.

use std::{env, fmt::Display, str::FromStr, time::Duration};

use p2p_provider::simulator::{Conditions, SimNetwork};

/// The `SIMULATOR_*` variables, which test harnesses read and libraries do not.
///
/// | variable | unit | default |
/// |---|---|---|
/// | `SIMULATOR_SEED` | number | 1 |
/// | `SIMULATOR_CONDITIONS` | preset: `lan`, `home-wifi`, `lte`, `satellite`, `hotel` | none |
/// | `SIMULATOR_DEFAULT_LATENCY_MS` | milliseconds, one way | of the preset, or 1 |
/// | `SIMULATOR_DEFAULT_PACKET_LOSS` | probability, 0 to 1 | of the preset, or 0 |
/// | `SIMULATOR_DISCOVERY_DELAY_MS` | milliseconds | 0 |
/// | `SIMULATOR_CONNECTION_TIMEOUT_SECS` | seconds that clients try to connect | that of the product |
/// | `SIMULATOR_MAX_MESSAGE_SIZE` | bytes of the largest WebSocket message that scenarios send | 65,536 |
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Environment {
    /// From which everything that is left to chance follows.
    pub seed: u64,
    /// The conditions of all links, if they are said.
    pub conditions: Option<Conditions>,
    /// How long a dial looks for its peer.
    pub discovery_delay: Duration,
    /// How long clients try to connect, if it is said.
    pub connect_timeout: Option<Duration>,
    /// The largest WebSocket message that scenarios send, in bytes.
    pub message_bytes_max: usize,
}

/// A variable does not make sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}='{value}': {message}")]
pub struct EnvironmentError {
    /// Its name.
    pub variable: &'static str,
    /// What it says.
    pub value: String,
    /// What would be right.
    pub message: String,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            seed: 1,
            conditions: None,
            discovery_delay: Duration::ZERO,
            connect_timeout: None,
            message_bytes_max: 64 << 10,
        }
    }
}

impl Environment {
    /// The defaults, with another seed.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Reads the environment of this process.
    pub fn read() -> Result<Self, EnvironmentError> {
        Self::from_variables(|name| env::var(name).ok())
    }

    /// As [`read`](Self::read), from any source.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let mut this = Self::default();
        if let Some(seed) = number(&get, "SIMULATOR_SEED", "a whole number", |_: &u64| true)? {
            this.seed = seed;
        }
        if let Some(name) = get("SIMULATOR_CONDITIONS") {
            let known = || Conditions::PRESETS.map(|(name, _)| name).join(", ");
            let conditions = Conditions::preset(&name).ok_or_else(|| EnvironmentError {
                variable: "SIMULATOR_CONDITIONS",
                message: format!("there are {}", known()),
                value: name,
            })?;
            this.conditions = Some(conditions);
        }
        if let Some(millis) = number(&get, "SIMULATOR_DEFAULT_LATENCY_MS", "milliseconds", |_| true)? {
            this.conditions.get_or_insert_default().latency = Duration::from_millis(millis);
        }
        let probability = |loss: &f64| (0.0..=1.0).contains(loss);
        if let Some(loss) = number(&get, "SIMULATOR_DEFAULT_PACKET_LOSS", "a probability from 0 to 1", probability)? {
            this.conditions.get_or_insert_default().loss = loss;
        }
        if let Some(millis) = number(&get, "SIMULATOR_DISCOVERY_DELAY_MS", "milliseconds", |_| true)? {
            this.discovery_delay = Duration::from_millis(millis);
        }
        let positive = |secs: &u64| *secs > 0;
        this.connect_timeout = number(&get, "SIMULATOR_CONNECTION_TIMEOUT_SECS", "seconds, at least one", positive)?
            .map(Duration::from_secs);
        let sensible = |bytes: &usize| (16..=16 << 20).contains(bytes);
        if let Some(bytes) = number(&get, "SIMULATOR_MAX_MESSAGE_SIZE", "bytes, from 16 to 16777216", sensible)? {
            this.message_bytes_max = bytes;
        }
        Ok(this)
    }

    /// Applies what concerns the network.
    pub fn apply(&self, network: &SimNetwork) {
        if let Some(conditions) = self.conditions {
            network.set_conditions(conditions);
        }
        network.set_discovery_delay(self.discovery_delay);
    }
}

fn number<T: FromStr<Err: Display>>(
    get: impl Fn(&str) -> Option<String>,
    variable: &'static str,
    wanted: &str,
    right: impl FnOnce(&T) -> bool,
) -> Result<Option<T>, EnvironmentError> {
    let Some(value) = get(variable) else { return Ok(None) };
    match value.trim().parse::<T>() {
        Ok(number) if right(&number) => Ok(Some(number)),
        Ok(_) => Err(EnvironmentError { variable, value, message: format!("it must be {wanted}") }),
        Err(error) => Err(EnvironmentError { variable, value, message: format!("it must be {wanted} ({error})") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &str, value: &str) -> Result<Environment, EnvironmentError> {
        Environment::from_variables(|name| (name == variable).then(|| value.to_owned()))
    }

    #[test]
    fn without_variables_there_are_defaults() {
        assert_eq!(Environment::from_variables(|_| None), Ok(Environment::default()));
    }

    #[test]
    fn every_variable_is_heard() {
        assert_eq!(with("SIMULATOR_SEED", "7").unwrap().seed, 7);
        let lte = with("SIMULATOR_CONDITIONS", "lte").unwrap().conditions;
        assert_eq!(lte, Conditions::preset("lte"));
        let slow = with("SIMULATOR_DEFAULT_LATENCY_MS", "50").unwrap().conditions.unwrap();
        assert_eq!(slow.latency, Duration::from_millis(50));
        assert!(with("SIMULATOR_DEFAULT_PACKET_LOSS", "0.5").unwrap().conditions.unwrap().loss > 0.4);
        assert_eq!(with("SIMULATOR_DISCOVERY_DELAY_MS", "9").unwrap().discovery_delay, Duration::from_millis(9));
        let timeout = with("SIMULATOR_CONNECTION_TIMEOUT_SECS", "3").unwrap().connect_timeout;
        assert_eq!(timeout, Some(Duration::from_secs(3)));
        assert_eq!(with("SIMULATOR_MAX_MESSAGE_SIZE", "1000").unwrap().message_bytes_max, 1000);
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (variable, value) in [
            ("SIMULATOR_SEED", "x"),
            ("SIMULATOR_CONDITIONS", "moon"),
            ("SIMULATOR_DEFAULT_PACKET_LOSS", "2"),
            ("SIMULATOR_DEFAULT_PACKET_LOSS", "NaN"),
            ("SIMULATOR_CONNECTION_TIMEOUT_SECS", "0"),
            ("SIMULATOR_MAX_MESSAGE_SIZE", "1"),
        ] {
            let error = with(variable, value).unwrap_err();
            assert!(error.to_string().starts_with(variable), "{error}");
        }
    }
}
