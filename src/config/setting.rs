//! The types that a single setting can have, each with its form as text and in TOML.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use humantime::Duration;
use toml::de::DeValue;
use url::Url;

use crate::{
    audit::{OnFailure, Output},
    keyring::KeyState,
    outgoing::Proxy,
    region::Region,
    telemetry::{AccessLog, LogFormat, LogLevel, OtlpProtocol},
    tls::TlsName,
    token::Role,
};

/// A type that a single setting can have.
pub(super) trait Setting: FromStr {
    /// What is expected, to follow "must be".
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => {
                i32::from_str_radix(number.as_str(), number.radix()).ok().map(Self::from)
            }
            _ => None,
        }
    }
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number that is not negative";

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let DeValue::Integer(number) = value else { return None };
        Self::from_str_radix(number.as_str(), number.radix()).ok()
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address with a port, such as \"0.0.0.0:50051\"";
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
}

impl Setting for TlsName {
    const EXPECTED: &'static str = "a DNS name or an IP address";
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration with its unit, such as \"10m\"";
}

impl Setting for Region {
    const EXPECTED: &'static str = Region::EXPECTED;
}

impl Setting for Url {
    const EXPECTED: &'static str = "an http or https URL, such as \"https://api.netless.link\"";

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    }
}

/// `telemetry.otlp_endpoint`.
pub(super) struct CollectorUrl(pub(super) Url);

impl FromStr for CollectorUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Url::from_text(text).map(Self).ok_or(())
    }
}

impl Setting for CollectorUrl {
    const EXPECTED: &'static str = "an http or https URL, such as \"http://collector:4317\"";
}

impl Setting for Proxy {
    const EXPECTED: &'static str = "an http or https URL without a path, such as \"http://proxy:3128\"";
}

/// The role of `whiteboard.switch_scene_role`.
impl Setting for Role {
    const EXPECTED: &'static str = "writer or admin";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|role| *role != Self::Reader)
    }
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "json or text";
}

impl Setting for LogLevel {
    const EXPECTED: &'static str = LogLevel::EXPECTED;
}

impl Setting for AccessLog {
    const EXPECTED: &'static str = AccessLog::EXPECTED;
}

impl Setting for OtlpProtocol {
    const EXPECTED: &'static str = Self::EXPECTED;
}

impl Setting for Output {
    const EXPECTED: &'static str = "stdout, or the path of a file";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|_| !text.is_empty())
    }
}

impl Setting for OnFailure {
    const EXPECTED: &'static str = "deny or allow";
}

impl Setting for KeyState {
    const EXPECTED: &'static str = KeyState::EXPECTED;
}
