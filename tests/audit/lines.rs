//! The content of lines, also with hostile text.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use inkpass::{
    audit::{Decision, LONGEST_LINE, Line, OnFailure, Phase, fingerprinter},
    clock::UnixMillis,
    entropy::{CountingEntropy, Entropy, SystemEntropy},
    keyring::{FileError, KeyFileError},
    region::Region,
    token::{Fingerprint, Fingerprinter, Kind, Lifetime, Role},
};
use serde_json::{Value, json};

use super::{RPC, Trail, hostile, line, read};
use crate::helpers::{NOW, place::Place};

/// Writes lines, and reads them back.
async fn written(lines: &[Line<'_>]) -> (String, Vec<Value>) {
    let directory = Place::new();
    let path = directory.path().join("audit.log");
    let trail = Trail::start(&path, OnFailure::Deny);
    for line in lines {
        trail.audit.write(line).await.unwrap();
    }
    (fs::read_to_string(&path).unwrap(), read(&path))
}

fn fingerprints(count: usize) -> Vec<Fingerprint> {
    let fingerprinter = Fingerprinter::new(b"a salt");
    (0..count).map(|number| fingerprinter.of(&number.to_string())).collect()
}

#[tokio::test]
async fn a_line_has_every_field_under_its_own_name() {
    let fingerprints = fingerprints(1);
    let full = Line {
        phase: Some(Phase::Outcome),
        request_id: "a-request",
        trace_id: "0af7651916cd43dd8448eb211c80319c",
        principal: "k8s:classroom/api",
        peer: "10.0.0.7",
        project: "default",
        access_key: "an-access-key",
        kind: Some(Kind::Room),
        role: Some(Role::Writer),
        uuid: "a-room",
        region: Some(Region::Eu),
        lifetime: Some(Lifetime::ttl(Duration::from_mins(1)).unwrap()),
        expire_at: UnixMillis::new(NOW + 60_000),
        grant: "classroom",
        fingerprints: &fingerprints,
        ..line()
    };
    let denied = Line {
        decision: Decision::Deny,
        phase: Some(Phase::Decision),
        lifetime: Some(Lifetime::Permanent),
        reason: "PERMANENT_TOKEN_FORBIDDEN",
        ..line()
    };
    let (_, lines) = written(&[full, denied]).await;
    assert_eq!(
        lines,
        [
            json!({
                "time": "2026-09-21T14:13:20.000Z", "decision": "allow", "phase": "outcome",
                "principal": "k8s:classroom/api", "peer": "10.0.0.7", "rpc": RPC, "project": "default",
                "access_key": "an-access-key", "kind": "room", "role": "writer", "uuid": "a-room", "region": "eu",
                "ttl_ms": 60_000, "expire_time": "2026-09-21T14:14:20.000Z", "grant": "classroom",
                "request_id": "a-request", "trace_id": "0af7651916cd43dd8448eb211c80319c",
                "fingerprint": fingerprints[0].to_string(),
            }),
            json!({
                "time": "2026-09-21T14:13:20.000Z", "decision": "deny", "phase": "decision",
                "reason": "PERMANENT_TOKEN_FORBIDDEN", "rpc": RPC, "permanent": true,
            }),
        ]
    );
}

#[tokio::test]
async fn hostile_text_in_every_field_stays_one_short_line_of_printable_ascii() {
    let (text, many) = (hostile(), fingerprints(1000));
    let everywhere = Line {
        request_id: &text,
        trace_id: &text,
        principal: &text,
        peer: &text,
        rpc: &text,
        project: &text,
        access_key: &text,
        uuid: &text,
        grant: &text,
        reason: &text,
        ..line()
    };
    let with_everything = Line {
        phase: Some(Phase::Decision),
        kind: Some(Kind::Sdk),
        role: Some(Role::Writer),
        region: Some(Region::GbLon),
        lifetime: Some(Lifetime::ttl(Duration::from_millis(u64::MAX)).unwrap()),
        expire_at: Some(UnixMillis::MAX),
        fingerprints: &many,
        ..everywhere
    };
    let (raw, lines) = written(&[everywhere, with_everything]).await;
    assert_eq!(lines.len(), 2);
    for (raw, line) in raw.split_inclusive('\n').zip(&lines) {
        assert!(raw.len() <= LONGEST_LINE, "{} bytes", raw.len());
        assert!(raw.trim_end_matches('\n').bytes().all(|byte| matches!(byte, b' '..=b'~')), "{raw}");
        let fields = [
            "reason",
            "principal",
            "peer",
            "rpc",
            "project",
            "access_key",
            "uuid",
            "grant",
            "request_id",
            "trace_id",
        ];
        for field in fields {
            let kept = line[field].as_str().unwrap();
            assert!(!kept.is_empty() && text.starts_with(kept), "{field}: {kept:?}");
            assert!(line["cut"].as_array().unwrap().contains(&field.into()), "{field} is not named in cut");
        }
    }
    assert_eq!(lines[1]["fingerprints"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn one_field_of_hostile_text_is_cut_and_the_others_are_not() {
    let text = hostile();
    let (_, lines) = written(&[Line { grant: &text, principal: "key:billing", ..line() }]).await;
    assert_eq!(lines[0]["cut"], json!(["grant"]));
    assert_eq!(lines[0]["principal"], "key:billing");
}

#[tokio::test]
async fn the_longest_values_that_the_contract_allows_are_not_cut() {
    let spiffe_id = format!("spiffe://example.org/{}", "a".repeat(2027));
    let uuid = "é".repeat(64);
    let (_, lines) = written(&[Line { principal: &spiffe_id, uuid: &uuid, ..line() }]).await;
    assert_eq!((&lines[0]["principal"], &lines[0]["uuid"]), (&spiffe_id.into(), &uuid.into()));
    assert!(lines[0]["cut"].is_null());
}

#[tokio::test]
async fn a_batch_names_each_token_in_one_line_by_first_digits_where_all_would_not_fit() {
    let many = fingerprints(1001);
    let short = Line { principal: "key:billing", fingerprints: &many[..400], ..line() };
    let long = Line { fingerprints: &many[..1000], ..short };
    let too_long = Line { fingerprints: &many, ..short };
    let (raw, lines) = written(&[short, long, too_long]).await;
    assert!(raw.split_inclusive('\n').all(|line| line.len() <= LONGEST_LINE));
    let digits = |line: &Value, count: usize| {
        let named = line["fingerprints"].as_array().unwrap();
        assert_eq!(named.len(), count);
        for (named, fingerprint) in named.iter().zip(&many) {
            assert!(fingerprint.to_string().starts_with(named.as_str().unwrap()));
        }
        named[0].as_str().unwrap().len()
    };
    assert_eq!((digits(&lines[0], 400), &lines[0]["cut"]), (32, &Value::Null));
    assert_eq!((digits(&lines[1], 1000), &lines[1]["cut"]), (11, &json!(["fingerprints"])));
    assert_eq!(digits(&lines[2], 1000), 11);
    assert_eq!(lines[2]["principal"], "key:billing");
}

#[test]
fn a_salt_file_makes_the_same_fingerprints_in_every_replica_and_none_makes_others() {
    let directory = Place::new();
    let path = directory.path().join("audit-salt");
    let of = |salt: &str| {
        fs::write(&path, salt).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fingerprinter(Some(&path), &SystemEntropy).unwrap().of("a token").to_string()
    };
    // printf %s 'a token' | openssl dgst -sha256 -hmac 0123456789abcdef | cut -c 1-32
    assert_eq!(of("0123456789abcdef\n"), "068e6a2d5f07dff46c59177002e44b90");
    // The same, of a salt that is longer than a block of SHA-256.
    assert_eq!(of(&"0123456789abcdef".repeat(5)), "23ce9a285138f571b09271bb656f88be");
    let random = |entropy: &dyn Entropy| fingerprinter(None, entropy).unwrap().of("a token").to_string();
    assert_ne!(random(&SystemEntropy), random(&SystemEntropy));
    assert_eq!(random(&CountingEntropy::default()), random(&CountingEntropy::default()));
}

#[test]
fn a_salt_file_is_checked_like_a_secret_key_file() {
    let directory = Place::new();
    let path = directory.path().join("audit-salt");
    fs::write(&path, "too short").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let errors = fingerprinter(Some(&path), &SystemEntropy).unwrap_err();
    assert!(
        matches!(errors[..], [KeyFileError::File(FileError::OpenToOthers(0o644)), KeyFileError::TooShort]),
        "{errors:?}"
    );
    let missing = fingerprinter(Some(&directory.path().join("none")), &SystemEntropy).unwrap_err();
    assert!(matches!(missing[..], [KeyFileError::File(FileError::Unreadable(_))]), "{missing:?}");
}
