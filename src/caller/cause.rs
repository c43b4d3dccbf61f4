//! Why a caller is unknown: for the operator only. The caller is told the same in every case.

use crate::names::names;

/// What was wrong, of a closed set: the label `cause` of `inkpass_callers_unknown_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Neither a header nor a certificate.
    NoCredential,
    /// More than one credential in the headers.
    SeveralCredentials,
    /// What should be a credential is not one.
    Malformed,
    /// Too many unknown callers: this one was not looked at further.
    RateLimited,
    /// A token of an issuer that the settings do not name.
    IssuerUnknown,
    /// A token whose algorithm is none of ours, or not its key's.
    Algorithm,
    /// A token for another audience.
    Audience,
    /// A token or certificate that is over.
    Expired,
    /// A token or certificate that has not begun.
    NotYetValid,
    /// A token for a subject that can be no principal.
    Subject,
    /// The issuer's keys could not be fetched for a day, or never.
    KeysUnavailable,
    /// A token signed by a key that its issuer does not publish.
    KeyUnknown,
    /// A token whose signature is not its key's.
    Signature,
    /// An API key that is not in the file.
    ApiKeyUnknown,
    /// A certificate that cannot be read, or is not for a caller.
    Certificate,
    /// A certificate without exactly one name that can be a principal.
    CertificateName,
    /// A SPIFFE ID of a trust domain that the settings do not name.
    TrustDomain,
}

names! { pub(super) Cause {
    NoCredential = "no_credential",
    SeveralCredentials = "several_credentials",
    Malformed = "malformed",
    RateLimited = "rate_limited",
    IssuerUnknown = "issuer_unknown",
    Algorithm = "algorithm",
    Audience = "audience",
    Expired = "expired",
    NotYetValid = "not_yet_valid",
    Subject = "subject",
    KeysUnavailable = "keys_unavailable",
    KeyUnknown = "key_unknown",
    Signature = "signature",
    ApiKeyUnknown = "api_key_unknown",
    Certificate = "certificate",
    CertificateName = "certificate_name",
    TrustDomain = "trust_domain",
} }
