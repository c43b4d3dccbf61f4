//! SPIFFE IDs, to the letter of the standard "The SPIFFE Identity and Verifiable Identity
//! Document", section 2.
//!
//! Nothing is normalised. Two spellings of one name would be two principals, so all but one are
//! refused.

/// The longest ID, in bytes.
const LONGEST_ID: usize = 2048;

/// The longest trust domain, in bytes.
const LONGEST_TRUST_DOMAIN: usize = 255;

/// The trust domain of a workload's ID, which has a path; `None` if it is not such an ID.
pub(super) fn trust_domain(id: &str) -> Option<&str> {
    let (trust_domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let is_id = id.len() <= LONGEST_ID && is_trust_domain(trust_domain) && path.split('/').all(is_segment);
    is_id.then_some(trust_domain)
}

/// Whether it is 1 to 255 of a–z, 0–9, `.`, `-` and `_`: no port, no user, no upper case.
pub(super) fn is_trust_domain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    (1..=LONGEST_TRUST_DOMAIN).contains(&name.len()) && name.bytes().all(allowed)
}

/// No percent-encoding, query or fragment: their signs are not among those allowed.
fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
}
