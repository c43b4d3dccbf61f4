//! The data centers of the whiteboard service.

use std::{fmt, str::FromStr};

/// A data center. A room lives in the one that it was created in, and every upstream call
/// names one. Source: the vendor's "Security" page, section "Network geofencing".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// Silicon Valley.
    UsSv,
    /// Singapore.
    Sg,
    /// Mumbai.
    InMum,
    /// Frankfurt.
    Eu,
    /// London: deprecated by the vendor, sent as it is.
    GbLon,
    /// Hangzhou.
    CnHz,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 6] = [Self::UsSv, Self::Sg, Self::InMum, Self::Eu, Self::GbLon, Self::CnHz];

    /// The name that the REST API's `region` header takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsSv => "us-sv",
            Self::Sg => "sg",
            Self::InMum => "in-mum",
            Self::Eu => "eu",
            Self::GbLon => "gb-lon",
            Self::CnHz => "cn-hz",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRegion;

impl fmt::Display for UnknownRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be one of us-sv, sg, in-mum, eu, gb-lon, cn-hz")
    }
}

impl std::error::Error for UnknownRegion {}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|region| region.as_str() == name).ok_or(UnknownRegion)
    }
}
