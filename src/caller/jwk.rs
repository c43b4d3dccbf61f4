//! An issuer's published keys: RFC 7517.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// A key that tokens may be signed with.
pub(super) struct Key {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: Arc<DecodingKey>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of a set that can be used: keys of another kind may stand beside them.
///
/// # Errors
/// A sentence, if it is no set or has no such key.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|_| "the answer is not a set of keys")?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(key).collect();
    if keys.is_empty() { Err("there is no key for RS256 or ES256 in it".to_owned()) } else { Ok(keys) }
}

/// `None` unless it has an id and is made for verifying one of our algorithms.
fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let is_for_us = common.key_algorithm.is_none_or(|algorithm| algorithm == named)
        && common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let public = is_for_us.then(|| DecodingKey::from_jwk(&jwk).ok())?.map(Arc::new)?;
    Some(Key { kid: jwk.common.key_id.filter(|kid| !kid.is_empty())?, algorithm, public })
}
