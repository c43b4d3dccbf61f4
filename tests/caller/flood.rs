//! The rate limit of unauthenticated callers.

use std::time::Duration;

use inkpass::caller::{Settings, Unknown};
use serde_json::json;

use futures_util::future::join_all;

use super::{
    Issuer, Signer, World,
    api_keys::KeyFile,
    but,
    certificates::certificate,
    claims,
    issuer::{EC, RSA},
};

/// The burst of the token bucket that all unauthenticated callers share.
const BURST: usize = 100;

/// Empties the token bucket.
async fn flood(world: &World) {
    for _ in 0..BURST {
        assert_eq!(world.identify(&[]).await, Err(Unknown));
    }
}

#[tokio::test]
async fn an_empty_bucket_ends_look_ups_and_locks_out_nobody() {
    let (issuer, file) = (Issuer::start(&[&EC]).await, KeyFile::new());
    let key = file.add("key:billing");
    let settings = Settings {
        api_keys_file: Some(file.path()),
        trust_domains: vec!["example.org".to_owned()],
        ..Settings::default()
    };
    let world = World::with(&issuer, settings).await;
    world.clock.advance(Duration::from_secs(30));
    flood(&world).await;
    assert_eq!((world.count("no_credential"), world.count("rate_limited")), (100, 0));

    // What is not surely good without a look-up has the same answer at once, and no look-up is made.
    let unknown = EC.sign_with(&but(EC.header(), json!({ "kid": "made-up" })), &claims(&issuer).to_string());
    let other_issuer = EC.sign(&but(claims(&issuer), json!({ "iss": "https://other.example" })));
    for (what, token) in [("issuer", other_issuer), ("no token", "x".to_owned())] {
        let before = world.count("rate_limited");
        let result = world.by_token(&token).await;
        world.assert_unknown(what, &result, "rate_limited", before);
    }
    let before = world.count("rate_limited");
    let result = world.identify(&[]).await;
    world.assert_unknown("nothing", &result, "rate_limited", before);
    assert_eq!(issuer.requests(), 1);

    // A good credential is authenticated as before, and a bad one is recognized.
    let good = EC.sign(&claims(&issuer));
    assert!(world.by_token(&good).await.is_ok());
    assert!(world.identify(&[("x-api-key", &key)]).await.is_ok());
    assert!(world.by_certificate(&certificate(&["spiffe://example.org/api"])).await.is_ok());
    let forged = Signer::ec(EC.kid).sign(&claims(&issuer));
    assert_eq!(world.by_token(&forged).await, Err(Unknown));
    assert_eq!(world.identify(&[("x-api-key", "ik_guess")]).await, Err(Unknown));
    assert_eq!(world.count("api_key_unknown"), 1);

    // A key that is not known is asked for, because a fetch has a limit of its own.
    assert_eq!(world.by_token(&unknown).await, Err(Unknown));
    assert_eq!((issuer.requests(), world.count("key_unknown")), (2, 1));
}

#[tokio::test]
async fn a_new_key_is_known_within_a_second_though_others_ask_for_made_up_ones() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    issuer.publish(&[&EC, &RSA]);
    let made_up = |number: usize| {
        let header = but(EC.header(), json!({ "kid": format!("made-up-{number}") }));
        EC.sign_with(&header, &claims(&issuer).to_string())
    };
    let made_up: Vec<_> = (0..1000).map(made_up).collect();
    let new = RSA.sign(&claims(&issuer));
    for calls in 0..10 {
        let junk = join_all(made_up.iter().map(|token| world.by_token(token)));
        let (junk, known) = tokio::join!(junk, world.by_token(&new));
        assert!(junk.iter().all(|result| *result == Err(Unknown)));
        if known.is_ok() {
            assert!(calls > 0 && issuer.requests() == 2, "one fetch for all of them");
            return;
        }
        world.clock.advance(Duration::from_millis(100));
        if calls == 9 {
            assert!(world.by_token(&new).await.is_ok(), "it is not known after a second");
        }
    }
}

#[tokio::test]
async fn good_callers_take_nothing_from_the_bucket() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let good = EC.sign(&claims(&issuer));
    for _ in 0..2 * BURST {
        assert!(world.by_token(&good).await.is_ok());
    }
    flood(&world).await;
    assert_eq!(world.count("no_credential"), 100);
}
