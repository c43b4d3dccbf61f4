//! Why a caller is unknown: for the operator only. The caller is told the same in every case.

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
    /// A token for somebody else.
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

impl Cause {
    pub(super) const ALL: [Self; 17] = [
        Self::NoCredential,
        Self::SeveralCredentials,
        Self::Malformed,
        Self::RateLimited,
        Self::IssuerUnknown,
        Self::Algorithm,
        Self::Audience,
        Self::Expired,
        Self::NotYetValid,
        Self::Subject,
        Self::KeysUnavailable,
        Self::KeyUnknown,
        Self::Signature,
        Self::ApiKeyUnknown,
        Self::Certificate,
        Self::CertificateName,
        Self::TrustDomain,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::SeveralCredentials => "several_credentials",
            Self::Malformed => "malformed",
            Self::RateLimited => "rate_limited",
            Self::IssuerUnknown => "issuer_unknown",
            Self::Algorithm => "algorithm",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Subject => "subject",
            Self::KeysUnavailable => "keys_unavailable",
            Self::KeyUnknown => "key_unknown",
            Self::Signature => "signature",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::Certificate => "certificate",
            Self::CertificateName => "certificate_name",
            Self::TrustDomain => "trust_domain",
        }
    }
}
