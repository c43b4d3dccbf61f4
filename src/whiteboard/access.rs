//! What a call is made with: a key, a region, and a uuid that can stand in a path.

use std::{sync::Arc, time::Instant};

use crate::{
    principal::Principal,
    region::Region,
    shares::Share,
    token::{SigningKey, Uuid},
};

/// Under which key, in which region, and for whom a call is made.
#[derive(Clone, Debug)]
pub struct Access {
    /// The project, by its name in the settings.
    pub project: Arc<str>,
    /// Signs the call's token.
    pub key: Arc<SigningKey>,
    /// The data center.
    pub region: Region,
    /// Of whose share of the calls it is one.
    pub caller: Principal,
    /// When its caller leaves.
    pub deadline: Option<Instant>,
    /// The place upstream that was taken for a call that changes something; `None`: the call takes one itself.
    pub place: Option<Arc<Share>>,
}

impl Access {
    /// For a call of inkpass's own.
    #[must_use]
    pub fn own(project: Arc<str>, key: Arc<SigningKey>, region: Region) -> Self {
        Self { project, key, region, caller: Principal::anonymous(), deadline: None, place: None }
    }
}

/// A uuid that can stand in a path: 1 to 128 of `0-9 A-Z a-z _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathUuid<'a>(pub(super) Uuid<'a>);

impl<'a> PathUuid<'a> {
    /// `None` if it could leave its path segment, or is too long.
    #[must_use]
    pub fn new(uuid: &'a str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = uuid.len() <= 128 && uuid.bytes().all(allowed);
        Uuid::new(uuid).filter(|_| fits).map(Self)
    }

    /// The uuid's text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0.as_str()
    }
}
