//! SPIFFE IDs, to the letter of the standard "The SPIFFE Identity and Verifiable Identity
//! Document", section 2.

/// The longest ID, in bytes, and so the longest principal.
const MAX_ID_BYTES: usize = 2048;

/// The longest trust domain, in bytes.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// The trust domain of a workload's ID, which has a path; `None` if it is not such an ID.
pub(crate) fn trust_domain(id: &str) -> Option<&str> {
    let (trust_domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let is_id = id.len() <= MAX_ID_BYTES && is_trust_domain(trust_domain) && path.split('/').all(is_segment);
    is_id.then_some(trust_domain)
}

/// Whether it is 1 to 255 of a–z, 0–9, `.`, `-` and `_`: no port, no user, no upper case.
pub(crate) fn is_trust_domain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    consists_of(name, MAX_TRUST_DOMAIN_BYTES, allowed)
}

/// Percent-encoding, query and fragment are refused: their characters are not among those allowed.
fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !matches!(segment, "." | "..") && consists_of(segment, MAX_ID_BYTES, allowed)
}

/// Whether it is 1 to `longest` bytes, all of them allowed.
pub(super) fn consists_of(text: &str, longest: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}
