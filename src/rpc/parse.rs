//! From proto to domain types. Everything that is wrong with a request is added to its violations.

use std::time::Duration;

use tonic_types::FieldViolation;
use url::Url;

use crate::{
    error::Error,
    policy::Mint,
    proto,
    region::Region,
    token::{Kind, Lifetime, Permission, Role, Uuid},
};

/// The violations of a request, which is refused with all of them at once.
#[derive(Debug, Default)]
pub(super) struct Violations {
    found: Vec<FieldViolation>,
    /// The request of a batch that is read: `requests[3].` precedes its fields.
    within: Option<usize>,
}

impl Violations {
    /// What is added from here on lies within this request of a batch.
    pub(super) fn within(&mut self, index: usize) {
        self.within = Some(index);
    }

    /// `field`: its path in proto names. `description`: what it must be, never its value.
    pub(super) fn add(&mut self, field: &str, description: impl Into<String>) {
        let field = match self.within {
            Some(index) => format!("requests[{index}].{field}"),
            None => field.to_owned(),
        };
        self.found.push(FieldViolation::new(field, description));
    }

    /// The parsed request, if it has no violation. What could not be parsed is `None` and has added
    /// its violation.
    pub(super) fn unless_any<T>(self, parsed: Option<T>) -> Result<T, Error> {
        match parsed {
            Some(parsed) if self.found.is_empty() => Ok(parsed),
            _ => Err(Error::Invalid(self.found)),
        }
    }
}

/// The outer `None`: it is wrong. The inner one: it is left to the default.
pub(super) type Optional<T> = Option<Option<T>>;

pub(super) fn role(role: i32, field: &str, violations: &mut Violations) -> Option<Role> {
    let parsed = match proto::Role::try_from(role) {
        Ok(proto::Role::Admin) => Some(Role::Admin),
        Ok(proto::Role::Writer) => Some(Role::Writer),
        Ok(proto::Role::Reader) => Some(Role::Reader),
        Ok(proto::Role::Unspecified) | Err(_) => None,
    };
    if parsed.is_none() {
        violations.add(field, "must be ROLE_ADMIN, ROLE_WRITER or ROLE_READER");
    }
    parsed
}

pub(super) fn region(region: i32, violations: &mut Violations) -> Optional<Region> {
    match proto::Region::try_from(region) {
        Ok(proto::Region::Unspecified) => Some(None),
        Ok(proto::Region::UsSv) => Some(Some(Region::UsSv)),
        Ok(proto::Region::Sg) => Some(Some(Region::Sg)),
        Ok(proto::Region::InMum) => Some(Some(Region::InMum)),
        Ok(proto::Region::Eu) => Some(Some(Region::Eu)),
        #[expect(deprecated, reason = "the vendor's old name is sent as it is")]
        Ok(proto::Region::GbLon) => Some(Some(Region::GbLon)),
        Ok(proto::Region::CnHz) => Some(Some(Region::CnHz)),
        Err(_) => {
            violations.add("region", "is not a region that this server knows");
            None
        }
    }
}

pub(super) fn issue_lifetime(
    validity: Option<&proto::issue_token_request::Validity>,
    violations: &mut Violations,
) -> Optional<Lifetime> {
    use proto::issue_token_request::Validity;
    match validity {
        None => Some(None),
        Some(Validity::Ttl(ttl)) => lifetime(ttl, "ttl", violations).map(Some),
        Some(Validity::Permanent(consent)) => permanent(*consent, "permanent", violations).map(Some),
    }
}

/// A token of this kind beside a creating call: its role and validity are read as `IssueToken`'s are.
pub(super) fn token_grant(
    grant: Option<&proto::TokenGrant>,
    kind: Kind,
    violations: &mut Violations,
) -> Optional<Mint> {
    use proto::token_grant::Validity;
    let Some(grant) = grant else { return Some(None) };
    let role = role(grant.role, "token_grant.role", violations);
    let lifetime = match &grant.validity {
        None => Some(None),
        Some(Validity::Ttl(ttl)) => lifetime(ttl, "token_grant.ttl", violations).map(Some),
        Some(Validity::Permanent(consent)) => {
            permanent(*consent, "token_grant.permanent", violations).map(Some)
        }
    };
    Some(Some(Mint { kind, role: role?, lifetime: lifetime? }))
}

fn lifetime(ttl: &prost_types::Duration, field: &str, violations: &mut Violations) -> Option<Lifetime> {
    // Not by prost's conversion, which overflows at the least number of seconds.
    let (seconds, nanos) = (u64::try_from(ttl.seconds).ok(), u32::try_from(ttl.nanos).ok());
    let ttl = seconds.zip(nanos.filter(|nanos| *nanos < 1_000_000_000)).map(|(s, n)| Duration::new(s, n));
    let parsed = ttl.and_then(|ttl| Lifetime::ttl(ttl).ok());
    if parsed.is_none() {
        violations.add(field, "must be above zero and a whole number of milliseconds");
    }
    parsed
}

fn permanent(consent: bool, field: &str, violations: &mut Violations) -> Option<Lifetime> {
    if !consent {
        violations.add(field, "must be true, or unset with a ttl instead");
    }
    consent.then_some(Lifetime::Permanent)
}

/// The uuid of a room or task to mint for: it goes nowhere but into the token.
pub(super) fn minted_uuid<'a>(uuid: &'a str, field: &str, violations: &mut Violations) -> Option<Uuid<'a>> {
    let fits = uuid.len() <= 128 && !uuid.chars().any(char::is_control);
    let parsed = Uuid::new(uuid).filter(|_| fits);
    if parsed.is_none() {
        violations.add(field, "must be 1 to 128 bytes without control characters");
    }
    parsed
}

/// An http or https URL, kept as it was written. The URL parser alone would correct what is none.
pub(super) fn url(text: &str, field: &str, violations: &mut Violations) -> Option<String> {
    let begins = text.starts_with("https://") || text.starts_with("http://");
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    let fits = begins && plain && text.len() <= 2048 && Url::parse(text).is_ok_and(|url| url.has_host());
    if !fits {
        violations.add(field, "must be an http:// or https:// URL of at most 2048 bytes without white space");
    }
    fits.then(|| text.to_owned())
}

/// A UUID in dashed form, or nothing.
pub(super) fn request_id(text: &str, violations: &mut Violations) {
    let dashes = [8, 13, 18, 23];
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| {
            if dashes.contains(&index) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        });
    if !text.is_empty() && !is_uuid {
        violations.add("request_id", "must be a UUID, such as 6fd0b1d6-8a1c-4f6f-9d55-0f0a3f8a2c11");
    }
}

/// Both must be above 0.
pub(super) fn pixels(sizes: [(i32, &str); 2], violations: &mut Violations) {
    for (pixels, field) in sizes {
        if pixels <= 0 {
            violations.add(field, "must be above 0");
        }
    }
}

/// Both enums, side by side.
const PERMISSIONS: [(proto::Permission, Permission); 15] = [
    (proto::Permission::CreateRoom, Permission::CreateRoom),
    (proto::Permission::JoinInteractive, Permission::JoinInteractive),
    (proto::Permission::JoinReadOnly, Permission::JoinReadOnly),
    (proto::Permission::ListRooms, Permission::ListRooms),
    (proto::Permission::GetRoom, Permission::GetRoom),
    (proto::Permission::DisableRoom, Permission::DisableRoom),
    (proto::Permission::CaptureScene, Permission::CaptureScene),
    (proto::Permission::CaptureSceneDir, Permission::CaptureSceneDir),
    (proto::Permission::ListScenes, Permission::ListScenes),
    (proto::Permission::AddScene, Permission::AddScene),
    (proto::Permission::SwitchScene, Permission::SwitchScene),
    (proto::Permission::StartConversion, Permission::StartConversion),
    (proto::Permission::MintRoomToken, Permission::MintRoomToken),
    (proto::Permission::MintTaskToken, Permission::MintTaskToken),
    (proto::Permission::GetConversion, Permission::GetConversion),
];

pub(super) fn permission(number: i32, violations: &mut Violations) -> Optional<Permission> {
    if number == proto::Permission::Unspecified as i32 {
        return Some(None);
    }
    let found = PERMISSIONS.iter().find(|(proto, _)| *proto as i32 == number);
    if found.is_none() {
        violations.add("permission", "is not a permission that this server knows");
    }
    found.map(|(_, permission)| Some(*permission))
}

pub(super) fn permission_to_proto(permission: Permission) -> proto::Permission {
    PERMISSIONS[permission as usize].0
}
