//! The room or conversion that a call is about.

use super::{convert, violations::Violations};
use crate::{region::Region, whiteboard::PathUuid};

/// Where something is that exists already.
pub(super) struct Target<'a> {
    pub(super) project: &'a str,
    pub(super) access_key: &'a str,
    pub(super) region: Option<Region>,
    pub(super) uuid: PathUuid<'a>,
}

/// Reads a target from the fields that such requests have alike: `target!(request.uuid)` or
/// `target!(request.room_uuid)`, with the violations.
macro_rules! target {
    ($request:ident . $uuid:ident, $violations:expr) => {
        crate::rpc::target::Target::parse(
            &$request.project,
            &$request.access_key,
            $request.region,
            (stringify!($uuid), &$request.$uuid),
            $violations,
        )
    };
}
pub(super) use target;

impl<'a> Target<'a> {
    pub(super) fn parse(
        project: &'a str,
        access_key: &'a str,
        region: i32,
        (field, uuid): (&str, &'a str),
        violations: &mut Violations,
    ) -> Option<Self> {
        let region = convert::region(region, violations);
        let uuid = PathUuid::new(uuid).or_else(|| {
            violations.add(field, "must be 1 to 128 of 0-9 A-Z a-z _ and -");
            None
        });
        Some(Self { project, access_key, region: region?, uuid: uuid? })
    }
}
