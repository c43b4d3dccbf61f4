//! The data centers of the whiteboard service.

use crate::names::names;

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

// As the REST API's `region` header takes them.
names! { pub Region {
    UsSv = "us-sv",
    Sg = "sg",
    InMum = "in-mum",
    Eu = "eu",
    GbLon = "gb-lon",
    CnHz = "cn-hz",
} }
