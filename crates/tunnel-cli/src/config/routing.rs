//! The options that say which way a request takes: the ones that a running gateway reads again.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use serde::{Deserialize, Deserializer, Serialize};

/// What decides over each request of a gateway that has two transports; part of table `[gateway]`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Routing (read again at SIGHUP and when the file changes)")]
pub(crate) struct RoutingOptions {
    /// The way of requests for which nothing else decides [default: p2p-first]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_MODE", value_enum)]
    pub(crate) mode: Option<ModeOption>,
    /// How many of the client ids, in percent, may go peer to peer; the rest take the tunnel server [default: 100]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_ROLLOUT", value_name = "PERCENT", value_parser = percent, allow_negative_numbers = true)]
    #[serde(default, deserialize_with = "percent_of_the_file")]
    pub(crate) rollout: Option<f64>,
    /// The way of some paths, such as `/files/**=legacy` or `POST,PUT /api/**=p2p-only`; repeat for more, first match wins
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_RULE", value_name = "[METHODS ]PATTERN=MODE", value_delimiter = ';')]
    #[serde(default, deserialize_with = "one_or_many_rules", skip_serializing_if = "Vec::is_empty")]
    pub(crate) rule: Vec<RuleOption>,
    /// As long as this file exists, every new request takes the tunnel server
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_KILL_SWITCH_FILE", value_name = "FILE")]
    pub(crate) kill_switch_file: Option<PathBuf>,
    /// Do not start a slow safe request on the tunnel server too
    #[arg(
        long,
        env = "TUNNEL_P2P_GATEWAY_NO_HEDGE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) no_hedge: Option<bool>,
    /// How many safe requests, in percent, to repeat on the other transport and compare, unseen by the app [default: 0]
    #[arg(long, env = "TUNNEL_P2P_GATEWAY_SHADOW", value_name = "PERCENT", value_parser = percent, allow_negative_numbers = true)]
    #[serde(default, deserialize_with = "percent_of_the_file")]
    pub(crate) shadow: Option<f64>,
}

/// Which transport a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModeOption {
    /// Only the tunnel server
    Legacy,
    /// Peer to peer while that works, else the tunnel server
    #[default]
    P2pFirst,
    /// Only peer to peer
    P2pOnly,
}

impl ModeOption {
    /// The name, as in flags and files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::P2pFirst => "p2p-first",
            Self::P2pOnly => "p2p-only",
        }
    }
}

impl FromStr for ModeOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false)
            .map_err(|_| format!("{text:?} is not a mode: use legacy, p2p-first or p2p-only"))
    }
}

/// The way of some paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) struct RuleOption {
    /// An exact path, or a prefix followed by `**`.
    pub(crate) path: String,
    /// Empty: any.
    pub(crate) methods: Vec<String>,
    /// The way.
    pub(crate) mode: ModeOption,
}

impl FromStr for RuleOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            format!("{text:?} is not a rule: {why}; write it as in /files/**=legacy or GET,HEAD /ws=p2p-only")
        };
        let (pattern, mode) = text.trim().rsplit_once('=').ok_or_else(|| refuse("it has no mode"))?;
        let (methods, path) = match pattern.trim().split_once(char::is_whitespace) {
            Some((methods, path)) => (methods.split(',').map(str::to_owned).collect(), path.trim()),
            None => (Vec::new(), pattern.trim()),
        };
        let mode = mode.trim().parse().map_err(|error: String| refuse(&error))?;
        Self { path: path.to_owned(), methods, mode }.checked().map_err(|why| refuse(&why))
    }
}

impl RuleOption {
    fn checked(self) -> Result<Self, String> {
        if !self.path.starts_with('/') {
            return Err(format!("the path {:?} does not begin with /", self.path));
        }
        if self.path.contains(['?', '#']) || self.path.contains(char::is_whitespace) {
            return Err(format!("{:?} is more than a path", self.path));
        }
        if self.path.strip_suffix("**").unwrap_or(&self.path).contains('*') {
            return Err("`**` stands at the end of a path, and nothing else is a wildcard".to_owned());
        }
        let method = |name: &&String| name.is_empty() || name.contains(|c: char| !c.is_ascii_uppercase() && c != '-');
        match self.methods.iter().find(method) {
            Some(method) => Err(format!("{method:?} is not a method: methods are upper case")),
            None => Ok(self),
        }
    }
}

impl fmt::Display for RuleOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        write!(f, "{}={}", self.path, self.mode.name())
    }
}

impl From<RuleOption> for String {
    fn from(rule: RuleOption) -> Self {
        rule.to_string()
    }
}

/// Reads rules as strings or as tables, one or many.
fn one_or_many_rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RuleOption>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected rules: strings such as \"/files/**=legacy\", or tables with path, mode, methods"
    )]
    enum OneOrMany {
        One(Written),
        Many(Vec<Written>),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Table(RuleTable),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RuleTable {
        path: String,
        mode: ModeOption,
        #[serde(default)]
        methods: Vec<String>,
    }
    let written = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    let read = |rule| match rule {
        Written::Text(text) => text.parse(),
        Written::Table(RuleTable { path, mode, methods }) => RuleOption { path, methods, mode }.checked(),
    };
    written.into_iter().map(read).collect::<Result<_, String>>().map_err(serde::de::Error::custom)
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse().map_err(|_| not_percent(text))?;
    checked_percent(number).ok_or_else(|| not_percent(text))
}

fn checked_percent(number: f64) -> Option<f64> {
    let hundredths = number * 100.0;
    ((0.0..=100.0).contains(&number) && (hundredths - hundredths.round()).abs() < 1e-6).then_some(number)
}

fn not_percent(given: impl fmt::Display) -> String {
    format!("{given} is not a percentage: write a number from 0 to 100, with at most two decimals")
}

fn percent_of_the_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number from 0 to 100")]
    enum Number {
        Whole(i32),
        Broken(f64),
    }
    let number = match Number::deserialize(deserializer)? {
        Number::Whole(number) => f64::from(number),
        Number::Broken(number) => number,
    };
    checked_percent(number).map(Some).ok_or_else(|| serde::de::Error::custom(not_percent(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_methods_a_path_and_a_mode() {
        let rule: RuleOption = "POST,PUT /api/**=p2p-only".parse().unwrap();
        assert_eq!(
            rule,
            RuleOption {
                path: "/api/**".to_owned(),
                methods: vec!["POST".to_owned(), "PUT".to_owned()],
                mode: ModeOption::P2pOnly
            }
        );
        assert_eq!(rule.to_string().parse(), Ok(rule));
        let rule: RuleOption = "/a=b=legacy".parse().unwrap();
        assert_eq!((rule.path.as_str(), rule.mode), ("/a=b", ModeOption::Legacy));
        for (wrong, why) in [
            ("/files", "no mode"),
            ("/files=fast", "p2p-first"),
            ("files=legacy", "begin with /"),
            ("/a?b=legacy", "more than a path"),
            ("/*/a=legacy", "wildcard"),
            ("get /a=legacy", "upper case"),
            ("=legacy", "begin with /"),
        ] {
            let error = wrong.parse::<RuleOption>().unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_file_has_rules_as_strings_and_as_tables() {
        let text =
            "rule = ['/a=legacy', { path = '/b', mode = 'p2p-only', methods = ['GET'] }]\nrollout = 12.5\nshadow = 1";
        let options: RoutingOptions = toml::from_str(text).unwrap();
        assert_eq!(options.rule.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/a=legacy", "GET /b=p2p-only"]);
        assert_eq!((options.rollout, options.shadow), (Some(12.5), Some(1.0)));
        let one: RoutingOptions = toml::from_str("rule = '/a=legacy'").unwrap();
        assert_eq!(one.rule.len(), 1);
        let again: RoutingOptions = toml::Table::try_from(&options).unwrap().try_into().unwrap();
        assert_eq!(again, options);
    }

    #[test]
    fn percentages_have_two_decimals_at_most() {
        assert_eq!(percent("12.34%"), Ok(12.34));
        assert_eq!(percent("100"), Ok(100.0));
        for wrong in ["", "-1", "100.01", "1.234", "NaN", "all", "inf"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
