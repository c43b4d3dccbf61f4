//! The rate limit of unauthenticated callers.

use std::time::Duration;

use inkpass::caller::{Settings, Unknown};
use serde_json::json;

use futures_util::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};

use super::{
    Issuer, Signer, World,
    api_keys::KeyFile,
    but,
    certificates::certificate,
    claims, header_map,
    issuer::{EC, RSA},
};

/// The burst of the token bucket that all unauthenticated callers share.
const BURST: usize = 100;

/// How many callers wait for a fetch of an issuer's keys.
const MOST_WAITING: usize = 64;

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

/// What a thousand callers present: half of them tokens with key ids that nobody has, and half API keys that nobody has.
fn junk(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let made_up = |number: usize| {
        let header = but(EC.header(), json!({ "kid": format!("made-up-{number}") }));
        EC.sign_with(&header, &claims(issuer).to_string())
    };
    let one = |number: usize| match number % 2 {
        0 => ("authorization", format!("Bearer {}", made_up(number))),
        _ => ("x-api-key", format!("ik_made-up-{number}")),
    };
    (0..1000).map(one).collect()
}

async fn with_api_keys(issuer: &Issuer) -> World {
    let file = KeyFile::new();
    file.add("key:billing");
    World::with(issuer, Settings { api_keys_file: Some(file.path()), ..Settings::default() }).await
}

#[tokio::test]
async fn a_new_key_is_known_within_a_second_though_ten_thousand_others_present_junk() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = with_api_keys(&issuer).await;
    issuer.publish(&[&EC, &RSA]);
    let (junk, new) = (junk(&issuer), RSA.sign(&claims(&issuer)));
    for calls in 0..10 {
        let others =
            join_all(junk.iter().map(|(name, value)| async { world.identify(&[(name, value)]).await }));
        let (others, known) = tokio::join!(others, world.by_token(&new));
        assert!(others.iter().all(|result| *result == Err(Unknown)));
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
async fn while_a_fetch_runs_sixty_four_wait_and_all_others_are_refused_at_once() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = with_api_keys(&issuer).await;
    world.clock.advance(Duration::from_secs(2));
    issuer.publish(&[&EC, &RSA]);
    issuer.open(false);
    let new = RSA.sign(&claims(&issuer));
    let mut junk: FuturesUnordered<_> = junk(&issuer)
        .into_iter()
        .map(|(name, value)| {
            let callers = world.callers.clone();
            async move { callers.identify(&header_map(&[(name, &value)]), None).await }
        })
        .collect();
    for _ in 0..1000 - MOST_WAITING {
        assert_eq!(junk.next().await, Some(Err(Unknown)));
    }
    assert!(junk.next().now_or_never().is_none(), "the others wait for the issuer");
    // There is no place to wait for one more, and it is told so at once.
    assert_eq!(world.by_token(&new).now_or_never(), Some(Err(Unknown)));
    issuer.open(true);
    assert!(junk.all(async |result| result == Err(Unknown)).await);
    assert!(world.by_token(&new).await.is_ok(), "it is known once the fetch has ended");
    assert_eq!(issuer.requests(), 2);
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
