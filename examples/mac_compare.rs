//! Compares signatures a thousand times, for .ci/constant-time to count instructions.
//!
//! `mac_compare mac|naive BYTE`: by the verifier itself, or by a comparison that ends at the first
//! difference; of a signature that is wrong at BYTE, or right where BYTE is 32.

use std::{hint::black_box, process::ExitCode};

use inkpass::token::{Claims, Nonce, Presented, Role, Scope, SigningKey};

const REPETITIONS: usize = 1000;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, how, byte] = &arguments[..] else { return usage() };
    let Some(byte) = byte.parse().ok().filter(|byte| *byte <= 32) else { return usage() };
    let matches = match &**how {
        "mac" => by_verifier(byte),
        "naive" => naively(byte),
        _ => return usage(),
    };
    if matches == if byte == 32 { REPETITIONS } else { 0 } { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("mac_compare mac|naive BYTE");
    ExitCode::from(64)
}

fn by_verifier(byte: usize) -> usize {
    let Ok(key) = SigningKey::new("an-access-key", b"a-secret-key-of-enough-bytes") else { return 0 };
    let claims = Claims { scope: Scope::Sdk, role: Role::Reader, expire_at: None };
    let signed = key.sign(&claims, &Nonce::from_bytes([7; 16]));
    let Some(token) = with_wrong_byte(signed.expose(), byte) else { return 0 };
    let Ok(presented) = Presented::parse(&token) else { return 0 };
    (0..REPETITIONS).filter(|_| compare_macs(black_box(&presented), black_box(&key))).count()
}

/// The token with another digit in its signature, of which each byte has two.
fn with_wrong_byte(token: &str, byte: usize) -> Option<String> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    let (prefix, body) = token.split_once('_')?;
    let mut text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    if byte < 32 {
        let at = text.find("sig=")? + "sig=".len() + 2 * byte;
        let other = if text.get(at..=at)? == "0" { "1" } else { "0" };
        text.replace_range(at..=at, other);
    }
    Some(format!("{prefix}_{}", BASE64_URL_SAFE_NO_PAD.encode(text)))
}

fn naively(byte: usize) -> usize {
    let right = vec![7; 32];
    let mut other = right.clone();
    if let Some(wrong) = other.get_mut(byte) {
        *wrong ^= 1;
    }
    (0..REPETITIONS).filter(|_| compare_naively(black_box(&right), black_box(&other))).count()
}

/// Counted.
#[inline(never)]
fn compare_macs(presented: &Presented, key: &SigningKey) -> bool {
    presented.is_signed_by(key)
}

/// Counted. Over slices, whose length is not known: over arrays it would be vectorised, and constant.
#[inline(never)]
fn compare_naively(right: &[u8], other: &[u8]) -> bool {
    right.len() == other.len() && right.iter().zip(other).all(|(right, other)| right == other)
}
