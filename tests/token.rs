//! The token core: the vendor's vectors, and properties over random and hostile input.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use inkpass::{
    clock::UnixMillis,
    token::{
        Claims, Fingerprinter, InvalidLifetime, Kind, Lifetime, Nonce, Permission, Presented, Role, Scope,
        SigningKey, TokenError, Uuid, Wanted, verify,
    },
};
use proptest::prelude::*;

const NOW: u64 = 1_790_000_000_000;

fn key() -> SigningKey {
    SigningKey::new("an-access-key", b"a-secret-key-of-some-length").unwrap()
}

fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(millis).unwrap()
}

fn scope(kind: Kind, uuid: &str) -> Scope<'_> {
    match kind {
        Kind::Sdk => Scope::Sdk,
        Kind::Room => Scope::Room(Uuid::new(uuid).unwrap()),
        Kind::Task => Scope::Task(Uuid::new(uuid).unwrap()),
    }
}

fn signed(kind: Kind, uuid: &str, role: Role) -> String {
    let claims = Claims { scope: scope(kind, uuid), role, expire_at: Some(at(NOW + 1000)) };
    key().sign(&claims, &Nonce::random([9; 16])).expose().to_owned()
}

/// Signs a query as another issuer would write it: `query` has `SIG` where the signature goes.
fn foreign(kind: Kind, message: &str, query: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(b"a-secret-key-of-some-length").unwrap();
    let tag: [u8; 32] = mac.chain_update(message).finalize().into_bytes().into();
    let sig = tag.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("{}{}", kind.prefix(), BASE64_URL_SAFE_NO_PAD.encode(query.replace("SIG", &sig)))
}

fn judge(token: &str, wanted: &Wanted<'_>) -> Result<(), TokenError> {
    verify(&Presented::parse(token)?, Some(&key()), at(NOW), wanted)
}

#[test]
fn every_vector_of_the_vendor_s_package_is_signed_to_the_byte_and_verifies() {
    let file: serde_json::Value = serde_json::from_str(include_str!("data/token-vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 69);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == text("kind")).unwrap();
        let role = Role::ALL.into_iter().find(|role| role.as_str() == text("role")).unwrap();
        let now = at(vector["now_ms"].as_u64().unwrap());
        let lifetime = match vector["lifespan_ms"].as_u64().unwrap() {
            0 => Lifetime::Permanent,
            millis => Lifetime::ttl(Duration::from_millis(millis)).unwrap(),
        };
        let nonce = u128::from_str_radix(&text("nonce").replace('-', ""), 16).unwrap().to_be_bytes();
        let key = SigningKey::new(text("access_key"), text("secret_key").as_bytes()).unwrap();
        let claims =
            Claims { scope: scope(kind, text("uuid")), role, expire_at: lifetime.expire_at(now).unwrap() };

        assert_eq!(key.sign(&claims, &Nonce::from_bytes(nonce)).expose(), text("token"));
        let read = Presented::parse(text("token")).unwrap();
        assert_eq!(verify(&read, Some(&key), now, &Wanted::default()), Ok(()), "{vector}");
        assert_eq!((read.kind(), read.role(), read.uuid()), (kind, role, text("uuid")));
        assert_eq!((read.access_key(), read.nonce()), (text("access_key"), text("nonce")));
    }
}

#[test]
fn each_error_string_of_the_vendor_is_given() {
    let room = signed(Kind::Room, "r1", Role::Reader);
    let task = signed(Kind::Task, "t1", Role::Reader);
    let wants = |permission| Wanted { permission: Some(permission), ..Wanted::default() };
    let other = SigningKey::new("an-access-key", b"another-secret-key").unwrap();
    let read = Presented::parse(&room).unwrap();

    let cases: [(Result<(), TokenError>, &str); 12] = [
        (judge("", &Wanted::default()), "invalid format of token"),
        (judge("WHITEabc", &Wanted::default()), "invalid format of token"),
        (verify(&read, Some(&key()), at(NOW + 1000), &Wanted::default()), "expired token"),
        (verify(&read, Some(&other), at(NOW + 5000), &Wanted::default()), "invalid signature of token"),
        (verify(&read, None, at(NOW + 5000), &Wanted::default()), "token access team forbidden"),
        (judge(&room, &wants(Permission::GetRoom)), "token access role reader forbidden"),
        (judge(&room, &wants(Permission::ListRooms)), "token access room forbidden"),
        (
            judge(&room, &Wanted { room: Some("r2"), ..wants(Permission::GetRoom) }),
            "token access room forbidden",
        ),
        (judge(&room, &Wanted { task: Some("t1"), ..Wanted::default() }), "token access room forbidden"),
        (judge(&task, &wants(Permission::GetRoom)), "token access task forbidden"),
        (
            judge(&task, &Wanted { task: Some("t2"), ..wants(Permission::GetConversion) }),
            "token access task forbidden",
        ),
        (Err(TokenError::Unknown), "unknown error"),
    ];
    for (index, (verdict, error)) in cases.into_iter().enumerate() {
        assert_eq!(verdict.unwrap_err().to_string(), error, "case {index}");
    }
    assert_eq!(Presented::parse("WHITEabc").unwrap_err(), TokenError::Legacy);
    assert_eq!(verify(&read, Some(&key()), at(NOW + 999), &Wanted::default()), Ok(()));
}

/// The prefix is not signed. Room and Task tokens say the same in what is, so that those two alone
/// can be taken for each other.
#[test]
fn a_room_or_task_token_is_no_sdk_token_under_another_prefix() {
    let room = signed(Kind::Room, "r1", Role::Admin);
    let task = signed(Kind::Task, "t1", Role::Admin);
    let sdk = signed(Kind::Sdk, "", Role::Admin);
    let swap = |token: &str, from: Kind, to: Kind| token.replace(from.prefix(), to.prefix());
    for forged in [
        swap(&room, Kind::Room, Kind::Sdk),
        swap(&task, Kind::Task, Kind::Sdk),
        swap(&sdk, Kind::Sdk, Kind::Room),
        swap(&sdk, Kind::Sdk, Kind::Task),
    ] {
        assert_eq!(judge(&forged, &Wanted::default()), Err(TokenError::Malformed), "{forged}");
    }
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let encode = |query: &str| format!("NETLESSSDK_{}", BASE64_URL_SAFE_NO_PAD.encode(query));
    let sig = "0".repeat(64);
    let well_formed = format!("ak=a&nonce=n&role=0&sig={sig}");
    assert!(Presented::parse(&encode(&well_formed)).is_ok());
    for token in [
        format!(" {}", encode(&well_formed)),
        format!("{}=", encode(&well_formed)),
        encode(&well_formed).to_lowercase(),
        "NETLESSSDK_".to_owned(),
        "NETLESSSDK_****".to_owned(),
        encode(&format!("ak=a&role=0&sig={sig}")),
        encode(&format!("nonce=n&role=0&sig={sig}")),
        encode(&format!("ak=&nonce=n&role=0&sig={sig}")),
        encode(&format!("ak=a&nonce=n&role=3&sig={sig}")),
        encode(&format!("ak=a&nonce=n&role=00&sig={sig}")),
        encode(&format!("ak=a&ak=b&nonce=n&role=0&sig={sig}")),
        encode(&format!("ak=a&nonce=n&role=0&sig={}", "A".repeat(64))),
        encode(&format!("ak=a&nonce=n&role=0&sig={}", "0".repeat(63))),
        encode(&format!("ak=a&expireAt=+1&nonce=n&role=0&sig={sig}")),
        encode(&format!("ak=a&expireAt=&nonce=n&role=0&sig={sig}")),
        encode(&format!("ak=a&expireAt=99999999999999999999&nonce=n&role=0&sig={sig}")),
        encode(&format!("ak&nonce=n&role=0&sig={sig}")),
        encode("ak=a&nonce=n&role=0"),
        encode(&well_formed).replace("SDK", "ROOM"),
    ] {
        assert_eq!(Presented::parse(&token).unwrap_err(), TokenError::Malformed, "{token}");
    }
}

#[test]
fn tokens_of_other_issuers_verify_in_any_order_and_either_escaping() {
    let message = r#"{"ak":"an-access-key","nonce":"n","role":"1","uuid":"a b(c)+"}"#;
    for query in [
        "ak=an-access-key&nonce=n&role=1&sig=SIG&uuid=a%20b(c)%2B",
        "sig=SIG&uuid=a+b%28c%29%2b&role=1&nonce=n&ak=an-access-key",
    ] {
        assert_eq!(judge(&foreign(Kind::Room, message, query), &Wanted::default()), Ok(()), "{query}");
    }
    let newer = r#"{"ak":"an-access-key","nonce":"n","role":"1","zone":"eu"}"#;
    let query = "ak=an-access-key&nonce=n&role=1&sig=SIG&zone=";
    assert_eq!(judge(&foreign(Kind::Sdk, newer, &format!("{query}eu")), &Wanted::default()), Ok(()));
    assert_eq!(
        judge(&foreign(Kind::Sdk, newer, &format!("{query}us")), &Wanted::default()),
        Err(TokenError::Signature)
    );
}

#[test]
fn an_sdk_token_mints_its_own_role_or_a_weaker_one() {
    for own in Role::ALL {
        for minted in Role::ALL {
            let wanted = Wanted {
                permission: Some(Permission::MintRoomToken),
                mint_role: Some(minted),
                ..Wanted::default()
            };
            let expected = if own <= minted { Ok(()) } else { Err(TokenError::Role(own)) };
            assert_eq!(judge(&signed(Kind::Sdk, "", own), &wanted), expected, "{own} mints {minted}");
        }
    }
}

#[test]
fn the_permission_tables_are_the_vendor_s() {
    use Permission as P;
    let granted =
        |kind, role| Presented::parse(&signed(kind, "x", role)).unwrap().permissions().collect::<Vec<_>>();
    let room_writer = [
        P::JoinInteractive,
        P::GetRoom,
        P::CaptureScene,
        P::CaptureSceneDir,
        P::ListScenes,
        P::AddScene,
        P::SwitchScene,
    ];
    assert_eq!(granted(Kind::Room, Role::Writer), room_writer);
    assert_eq!(granted(Kind::Room, Role::Reader), [P::JoinReadOnly]);
    let mut room_admin = room_writer.to_vec();
    room_admin.insert(2, P::DisableRoom);
    assert_eq!(granted(Kind::Room, Role::Admin), room_admin);
    for role in Role::ALL {
        assert_eq!(granted(Kind::Task, role), [P::GetConversion]);
    }
    let sdk_reader = [P::JoinReadOnly, P::MintRoomToken, P::MintTaskToken, P::GetConversion];
    assert_eq!(granted(Kind::Sdk, Role::Reader), sdk_reader);
    let all_but = |without: &[P]| P::all().filter(|p| !without.contains(p)).collect::<Vec<_>>();
    assert_eq!(granted(Kind::Sdk, Role::Admin), all_but(&[P::JoinReadOnly]));
    assert_eq!(granted(Kind::Sdk, Role::Writer), all_but(&[P::JoinReadOnly, P::DisableRoom]));
}

#[test]
fn a_lifetime_that_would_be_permanent_by_accident_cannot_be_written() {
    for refused in [Duration::ZERO, Duration::from_micros(1500), Duration::from_nanos(1)] {
        assert!(Lifetime::ttl(refused).is_err(), "{refused:?}");
    }
    let ages = Lifetime::ttl(Duration::from_secs(u64::MAX)).unwrap();
    assert!(ages.expire_at(at(NOW)).is_err());
    assert_eq!(Lifetime::Permanent.expire_at(at(NOW)), Ok(None));
}

#[test]
fn a_lifetime_says_how_long_it_is() {
    let hour = Duration::from_hours(1);
    assert_eq!(Lifetime::ttl(hour).unwrap().as_duration(), Some(hour));
    assert_eq!(Lifetime::ttl(hour).unwrap().expire_at(at(NOW)), Ok(Some(at(NOW + 3_600_000))));
    assert_eq!(Lifetime::Permanent.as_duration(), None);
}

#[test]
fn a_uuid_is_anything_but_empty() {
    assert_eq!(Uuid::new("a b").map(Uuid::as_str), Some("a b"));
    assert_eq!(Uuid::new(""), None);
}

#[test]
fn names_of_roles_and_kinds_are_read_back_and_no_others() {
    for (role, name) in Role::ALL.into_iter().zip(["admin", "writer", "reader"]) {
        assert_eq!((role.as_str(), &*role.to_string(), name.parse()), (name, name, Ok(role)));
    }
    for (kind, name) in Kind::ALL.into_iter().zip(["sdk", "room", "task"]) {
        assert_eq!((kind.as_str(), name.parse()), (name, Ok(kind)));
    }
    for unknown in ["", "Admin", "SDK", "owner", "sdk "] {
        assert_eq!(unknown.parse::<Role>().unwrap_err().to_string(), "must be one of admin, writer, reader");
        assert_eq!(unknown.parse::<Kind>().unwrap_err().to_string(), "must be one of sdk, room, task");
    }
}

#[test]
fn an_error_says_what_is_wrong() {
    let empty =
        |access_key, secret_key: &[u8]| SigningKey::new(access_key, secret_key).unwrap_err().to_string();
    assert_eq!(
        (empty("", b"s"), empty("a", b"")),
        ("the access key is empty".into(), "the secret key is empty".into())
    );
    assert_eq!(InvalidLifetime.to_string(), "must be above zero and a whole number of milliseconds");
}

#[test]
fn keys_are_told_apart_by_both_halves() {
    let key = |access_key, secret_key: &str| SigningKey::new(access_key, secret_key.as_bytes()).unwrap();
    let one = key("a", "1");
    for (other, is_same, has_secret) in [
        (key("a", "1"), true, true),
        (key("b", "1"), false, true),
        (key("a", "2"), false, false),
        (key("b", "2"), false, false),
    ] {
        assert_eq!((one.is_same_as(&other), one.has_secret_of(&other)), (is_same, has_secret), "{other:?}");
    }
    assert_eq!(one.access_key(), "a");
    let swapped = key("1", "a");
    assert!(swapped.is_named_by_secret_of(&one) && !one.is_named_by_secret_of(&one));
    assert!(one.verifies_itself());
}

#[test]
fn secrets_do_not_show_in_debug() {
    let token = key()
        .sign(&Claims { scope: Scope::Sdk, role: Role::Admin, expire_at: None }, &Nonce::random([0; 16]));
    let shown =
        format!("{:?} {:?} {:?}", key(), token, Fingerprinter::new(b"0123456789abcdef0123456789abcdef"));
    assert_eq!(shown, r#"SigningKey { access_key: "an-access-key", .. } TokenValue(***) Fingerprinter(***)"#);
    let read = Presented::parse(token.expose()).unwrap();
    assert_eq!(format!("{read:?}"), "Presented { kind: Sdk, role: Admin, .. }");
}

#[test]
fn signing_allocates_the_token_alone() {
    let (key, nonce) = (key(), Nonce::random([7; 16]));
    let longest = "\u{1f3a8}".repeat(32);
    for scope in [Scope::Sdk, scope(Kind::Room, "a-room"), scope(Kind::Task, &longest)] {
        let claims = Claims { scope, role: Role::Writer, expire_at: Some(at(1_790_000_000_000)) };
        // The first use of a thread makes its buffer.
        drop(key.sign(&claims, &nonce));
        let mut token = None;
        let counted = allocation_counter::measure(|| token = Some(key.sign(&claims, &nonce)));
        assert_eq!(counted.count_total, 1, "{scope:?}");
        assert_eq!(counted.bytes_total, token.unwrap().expose().len() as u64, "{scope:?}");
    }
}

#[test]
fn a_fingerprint_is_the_first_half_of_an_hmac_under_the_salt() {
    // HMAC-SHA256 with a key of 32 bytes 0x0b…: computed with Python's hmac module.
    let fingerprint = Fingerprinter::new(&[0x0b; 32]).of("NETLESSSDK_abc");
    assert_eq!(fingerprint.to_string(), "012a007246247f158ac7ab5c7456c9ab");
    assert_eq!(
        format!("{fingerprint:.8} {fingerprint:?}"),
        "012a0072 Fingerprint(012a007246247f158ac7ab5c7456c9ab)"
    );
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

/// Text full of what breaks encoders.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof!["[\"'\\\\&=%+ !()*~\u{0}-\u{1f}a-z🎨é\u{2028}]{1,40}", "\\PC{1,40}", any::<String>()]
        .prop_filter("a uuid is not empty", |text| !text.is_empty())
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_round_trips(
        kind in any_kind(), role in any_role(), uuid in hostile(), access_key in hostile(),
        secret in prop::collection::vec(any::<u8>(), 1..100), bytes: [u8; 16], ttl in prop::option::of(1u64..1 << 40),
    ) {
        let key = SigningKey::new(&access_key, &secret).unwrap();
        let expire_at = ttl.map(|ttl| at(NOW + ttl));
        let token = key.sign(&Claims { scope: scope(kind, &uuid), role, expire_at }, &Nonce::random(bytes));
        let read = Presented::parse(token.expose()).unwrap();
        prop_assert_eq!(verify(&read, Some(&key), at(NOW), &Wanted::default()), Ok(()));
        prop_assert_eq!((read.kind(), read.role(), read.expire_at()), (kind, role, expire_at));
        prop_assert_eq!(read.access_key(), access_key);
        prop_assert_eq!(read.uuid(), if kind == Kind::Sdk { "" } else { &uuid });
        // A version 4 UUID: six bits are given, the rest is random.
        let nonce = u128::from_str_radix(&read.nonce().replace('-', ""), 16).unwrap().to_be_bytes();
        prop_assert_eq!((nonce[6] >> 4, nonce[8] >> 6), (4, 2));
        let random = |mut bytes: [u8; 16]| {
            bytes[6] &= 0x0f;
            bytes[8] &= 0x3f;
            bytes
        };
        prop_assert_eq!(random(nonce), random(bytes));
    }

    /// No byte of a token can change, except the case of a hexadecimal digit in a `%XX` escape,
    /// which leaves every claim as it was.
    #[test]
    fn any_changed_byte_does_not_verify(
        kind in any_kind(), role in any_role(), uuid in hostile(), position: prop::sample::Index, byte in 0x20u8..0x7f,
    ) {
        let token = signed(kind, &uuid, role);
        let mut changed = token.clone().into_bytes();
        let index = position.index(changed.len());
        prop_assume!(changed[index] != byte);
        changed[index] = byte;
        let changed = String::from_utf8(changed).unwrap();
        if judge(&changed, &Wanted::default()).is_ok() {
            let query = |token: &str| BASE64_URL_SAFE_NO_PAD.decode(&token[kind.prefix().len()..]).unwrap();
            let (before, after) = (query(&token), query(&changed));
            let differing = before.iter().zip(&after).filter(|(a, b)| a != b);
            prop_assert!(uuid.contains(|c: char| !c.is_ascii_alphanumeric()), "{}", changed);
            for (a, b) in differing {
                prop_assert!(a.eq_ignore_ascii_case(b) && a.is_ascii_hexdigit());
            }
            let read = Presented::parse(&changed).unwrap();
            prop_assert_eq!(read.uuid(), if kind == Kind::Sdk { "" } else { &uuid });
        }
    }

    #[test]
    fn reading_never_panics(text in "(NETLESS(SDK|ROOM|TASK)_)?\\PC{0,80}", query in "[a-z=&%+0-9]{0,80}") {
        let _ = Presented::parse(&text);
        let _ = Presented::parse(&format!("NETLESSROOM_{}", BASE64_URL_SAFE_NO_PAD.encode(query)));
    }
}
