//! The messages and services of `inkpass.v1`, generated from proto/inkpass/v1 at build time.
//!
//! A field whose comment begins with `Secret:` is masked in `Debug`.

use prost_types::Timestamp;

use crate::{clock::UnixMillis, region, token};

mod generated {
    #![expect(clippy::pedantic, reason = "generated code")]
    #![cfg_attr(
        any(feature = "client", feature = "server"),
        expect(unused_qualifications, reason = "generated code")
    )]
    tonic::include_proto!("inkpass.v1");
}

pub use generated::*;

/// The descriptor set of `inkpass.v1`, encoded: for reflection and for JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

include!(concat!(env!("OUT_DIR"), "/redacted.rs"));

impl From<token::Role> for Role {
    fn from(role: token::Role) -> Self {
        match role {
            token::Role::Admin => Self::Admin,
            token::Role::Writer => Self::Writer,
            token::Role::Reader => Self::Reader,
        }
    }
}

impl From<token::Kind> for TokenKind {
    fn from(kind: token::Kind) -> Self {
        match kind {
            token::Kind::Sdk => Self::Sdk,
            token::Kind::Room => Self::Room,
            token::Kind::Task => Self::Task,
        }
    }
}

impl From<token::TokenError> for TokenError {
    fn from(error: token::TokenError) -> Self {
        match error {
            token::TokenError::Malformed => Self::Malformed,
            token::TokenError::Legacy => Self::Legacy,
            token::TokenError::Expired => Self::Expired,
            token::TokenError::Signature => Self::Signature,
            token::TokenError::Role(_) => Self::Role,
            token::TokenError::Room => Self::Room,
            token::TokenError::Task => Self::Task,
            token::TokenError::Team => Self::Team,
            token::TokenError::Unknown => Self::Unknown,
        }
    }
}

impl From<UnixMillis> for Timestamp {
    fn from(at: UnixMillis) -> Self {
        let (seconds, millis) = (at.get() / 1000, at.get() % 1000);
        Self {
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            nanos: i32::try_from(millis * 1_000_000).unwrap_or_default(),
        }
    }
}

impl From<region::Region> for Region {
    fn from(region: region::Region) -> Self {
        match region {
            region::Region::UsSv => Self::UsSv,
            region::Region::Sg => Self::Sg,
            region::Region::InMum => Self::InMum,
            region::Region::Eu => Self::Eu,
            #[expect(deprecated, reason = "the vendor's old name is sent as it is")]
            region::Region::GbLon => Self::GbLon,
            region::Region::CnHz => Self::CnHz,
        }
    }
}
