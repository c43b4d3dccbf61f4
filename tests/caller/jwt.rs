//! Tokens: what makes one good, and everything that does not (fault case 33).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use inkpass::caller::{Settings, Unknown};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{
    AUDIENCE, Issuer, IssuerSettings, Signer, TODAY, World, but, claims,
    issuer::{EC, OTHER_RSA, RSA},
};

/// The caller of a good token.
const ACCOUNT: &str = "k8s:classroom/api";

#[tokio::test]
async fn a_service_account_is_known_by_its_namespace_and_name() {
    let issuer = Issuer::start(&[&RSA, &EC]).await;
    let world = World::of(&issuer).await;
    for signer in [&*RSA, &*EC] {
        let token = signer.sign(&claims(&issuer));
        assert_eq!(world.by_token(&token).await.unwrap().as_str(), ACCOUNT);
        // The scheme's case says nothing; more than one audience is common.
        let several = signer.sign(&but(claims(&issuer), json!({ "aud": ["other", AUDIENCE] })));
        let result = world.identify(&[("authorization", &format!("bearer {several}"))]).await;
        assert_eq!(result.unwrap().as_str(), ACCOUNT);
        let one = signer.sign(&but(claims(&issuer), json!({ "aud": AUDIENCE, "nbf": null, "iat": null })));
        assert_eq!(world.by_token(&one).await.unwrap().as_str(), ACCOUNT);
    }
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn every_bad_token_has_one_and_the_same_answer() {
    const ADMIN: &str = "system:serviceaccount:kube-system:admin";
    let issuer = Issuer::start(&[&RSA, &EC]).await;
    let world = World::of(&issuer).await;
    let good = claims(&issuer);
    let says = |fields: Value| RSA.sign(&but(good.clone(), fields));
    let with_header = |fields: Value| RSA.sign_with(&but(RSA.header(), fields), &good.to_string());
    let token = RSA.sign(&good);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, body) = message.split_once('.').unwrap();
    let none = BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "kid": "rsa-1" }).to_string());
    let stolen = BASE64_URL_SAFE_NO_PAD.encode(but(good.clone(), json!({ "sub": ADMIN })).to_string());
    let twice = good.to_string().replacen('{', "{\"sub\":\"system:serviceaccount:kube-system:admin\",", 1);
    let cases = [
        ("expired", says(json!({ "exp": TODAY - 60 })), "expired"),
        ("nbf in the future", says(json!({ "nbf": TODAY + 61 })), "not_yet_valid"),
        ("iat in the future", says(json!({ "iat": TODAY + 61 })), "not_yet_valid"),
        ("wrong audience", says(json!({ "aud": ["other"] })), "audience"),
        ("the API server's audience", says(json!({ "aud": [issuer.name()] })), "audience"),
        ("no audience", says(json!({ "aud": [] })), "audience"),
        ("part of the audience", says(json!({ "aud": ["inkpas", "inkpassx", "INKPASS"] })), "audience"),
        ("wrong issuer", says(json!({ "iss": "https://other.example" })), "issuer_unknown"),
        ("the issuer with a slash", says(json!({ "iss": issuer.name() + "/" })), "issuer_unknown"),
        ("alg none", format!("{none}.{body}."), "algorithm"),
        ("alg none with a signature", format!("{none}.{body}.{signature}"), "algorithm"),
        ("HS384", with_header(json!({ "alg": "HS384" })), "algorithm"),
        ("RS384", with_header(json!({ "alg": "RS384" })), "algorithm"),
        ("PS256", with_header(json!({ "alg": "PS256" })), "algorithm"),
        ("an RSA key's token as ES256", with_header(json!({ "alg": "ES256" })), "algorithm"),
        ("an EC key's id on an RSA token", with_header(json!({ "kid": "ec-1" })), "algorithm"),
        ("no algorithm", with_header(json!({ "alg": null })), "malformed"),
        ("no key id", with_header(json!({ "kid": null })), "malformed"),
        ("something critical", with_header(json!({ "crit": ["b64"], "b64": false })), "malformed"),
        ("another key's signature", OTHER_RSA.sign_with(&RSA.header(), &good.to_string()), "signature"),
        ("no signature", format!("{message}."), "signature"),
        ("another body", format!("{header}.{stolen}.{signature}"), "signature"),
        ("a signature that was cut", token[..token.len() - 4].to_owned(), "signature"),
        ("two parts", message.to_owned(), "malformed"),
        ("four parts", format!("{token}.{signature}"), "malformed"),
        ("one word", "inkpass".to_owned(), "malformed"),
        ("nothing", String::new(), "malformed"),
        ("padding", format!("{header}=.{body}.{signature}"), "malformed"),
        ("no JSON", RSA.sign_with(&RSA.header(), "hello"), "malformed"),
        ("a subject twice", RSA.sign_with(&RSA.header(), &twice), "malformed"),
        ("no expiry", says(json!({ "exp": null })), "malformed"),
        ("an expiry that is text", says(json!({ "exp": "never" })), "malformed"),
        ("an expiry past all time", says(json!({ "exp": 1e300 })), "malformed"),
        ("a negative expiry", says(json!({ "exp": -1 })), "malformed"),
        ("several issuers", says(json!({ "iss": [issuer.name()] })), "malformed"),
        ("no subject", says(json!({ "sub": null })), "malformed"),
        ("too long", says(json!({ "filler": "x".repeat(8 * 1024) })), "malformed"),
        ("a user", says(json!({ "sub": "system:admin" })), "subject"),
        ("no name", says(json!({ "sub": "system:serviceaccount:classroom" })), "subject"),
        ("an empty name", says(json!({ "sub": "system:serviceaccount:classroom:" })), "subject"),
        ("an empty namespace", says(json!({ "sub": "system:serviceaccount::api" })), "subject"),
        ("one name too many", says(json!({ "sub": "system:serviceaccount:a:b:c" })), "subject"),
        ("a slash", says(json!({ "sub": "system:serviceaccount:a/b:c" })), "subject"),
        ("a pattern", says(json!({ "sub": "system:serviceaccount:classroom:*" })), "subject"),
        ("upper case", says(json!({ "sub": "system:serviceaccount:Classroom:api" })), "subject"),
        ("a new line", says(json!({ "sub": "system:serviceaccount:classroom:api\n" })), "subject"),
    ];
    for (what, token, cause) in &cases {
        let before = world.count(cause);
        let result = world.by_token(token).await;
        world.assert_unknown(what, &result, cause, before);
    }
    assert_eq!(issuer.requests(), 1, "nothing of this is worth a look-up");
}

#[tokio::test]
async fn a_good_token_is_one_of_a_bearer_alone() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let token = EC.sign(&claims(&issuer));
    for scheme in ["", "Basic ", "Token ", "Bearer\t", "Bearers ", " Bearer "] {
        let before = world.count("malformed");
        let result = world.identify(&[("authorization", &format!("{scheme}{token}"))]).await;
        world.assert_unknown(scheme, &result, "malformed", before);
    }
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret() {
    let issuer = Issuer::start(&[&RSA]).await;
    let world = World::of(&issuer).await;
    let jwk = RSA.jwk();
    let decoded = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let forms = [
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        decoded("n"),
        [decoded("n"), decoded("e")].concat(),
    ];
    for secret in forms {
        let forger =
            Signer { kid: "rsa-1", algorithm: Algorithm::HS256, key: EncodingKey::from_secret(&secret) };
        let before = world.count("algorithm");
        let result = world.by_token(&forger.sign(&claims(&issuer))).await;
        world.assert_unknown("HS256", &result, "algorithm", before);
        // Nor does it help to call it what it is not.
        let before = world.count("signature");
        let result = world.by_token(&forger.sign_with(&RSA.header(), &claims(&issuer).to_string())).await;
        world.assert_unknown("HS256 as RS256", &result, "signature", before);
    }
}

#[tokio::test]
async fn a_credential_has_at_most_8_kib() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let signed = |filler: usize| EC.sign(&but(claims(&issuer), json!({ "filler": "x".repeat(filler) })));
    let length = |token: &str| "Bearer ".len() + token.len();
    // Three bytes of claims are four of the token.
    let filler = (8 * 1024 - length(&signed(0))) / 4 * 3;
    let (longest, too_long) = (signed(filler), signed(filler + 4));
    assert!(length(&longest) > 8 * 1024 - 4 && length(&longest) <= 8 * 1024, "{}", length(&longest));
    assert!(length(&too_long) > 8 * 1024 && length(&too_long) <= 8 * 1024 + 6, "{}", length(&too_long));
    assert_eq!(world.by_token(&longest).await.unwrap().as_str(), ACCOUNT);
    world.assert_unknown("a token", &world.by_token(&too_long).await, "malformed", 0);
    for (length, cause, before) in [(8 * 1024, "api_key_unknown", 0), (8 * 1024 + 1, "malformed", 1)] {
        let result = world.identify(&[("x-api-key", &"x".repeat(length))]).await;
        world.assert_unknown("an API key", &result, cause, before);
    }
}

#[tokio::test]
async fn clocks_may_be_a_minute_apart_and_no_more() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let ends_at = |exp: f64| EC.sign(&but(claims(&issuer), json!({ "exp": exp })));
    let begins_at = |nbf: i64| EC.sign(&but(claims(&issuer), json!({ "nbf": nbf })));
    #[expect(clippy::cast_precision_loss, reason = "the number is small")]
    let today = TODAY as f64;
    assert!(world.by_token(&ends_at(today - 59.0)).await.is_ok());
    assert!(world.by_token(&ends_at(today - 59.999)).await.is_ok());
    assert_eq!(world.by_token(&ends_at(today - 60.0)).await, Err(Unknown));
    assert!(world.by_token(&begins_at(TODAY + 60)).await.is_ok());
    assert_eq!(world.by_token(&begins_at(TODAY + 61)).await, Err(Unknown));
    // It is the wall clock that decides, wherever it is set.
    world.clock.step(1_000);
    assert!(world.by_token(&begins_at(TODAY + 61)).await.is_ok());
    world.clock.step(-2_000);
    assert_eq!(world.by_token(&begins_at(TODAY + 60)).await, Err(Unknown));
}

fn login(issuer: &Issuer) -> IssuerSettings {
    IssuerSettings { name: "login".to_owned(), kubernetes: false, ..issuer.settings() }
}

#[tokio::test]
async fn any_other_issuer_s_subjects_are_named_after_it() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::start(&Settings { issuers: vec![login(&issuer)], ..Settings::default() });
    let subject = |subject: &str| EC.sign(&but(claims(&issuer), json!({ "sub": subject })));
    for good in ["auth0|6f1a", "ann@example.com", "team/ann", "system:serviceaccount:classroom:api"] {
        assert_eq!(world.by_token(&subject(good)).await.unwrap().to_string(), format!("oidc:login/{good}"));
    }
    assert!(world.by_token(&subject(&"x".repeat(255))).await.is_ok());
    for bad in ["", "two words", "new\nline", "é", "\u{202e}", &"x".repeat(256)] {
        let before = world.count("subject");
        let result = world.by_token(&subject(bad)).await;
        world.assert_unknown(bad, &result, "subject", before);
    }
}

#[tokio::test]
async fn an_issuer_vouches_for_its_own_only() {
    let (cluster, other) = (Issuer::start(&[&RSA]).await, Issuer::start(&[&EC]).await);
    let issuers = vec![cluster.settings(), login(&other)];
    let world = World::start(&Settings { issuers, ..Settings::default() });
    assert_eq!(world.by_token(&RSA.sign(&claims(&cluster))).await.unwrap().as_str(), ACCOUNT);
    let named = world.by_token(&EC.sign(&claims(&other))).await.unwrap();
    assert_eq!(named.as_str(), "oidc:login/system:serviceaccount:classroom:api");
    // Each with the other's key.
    assert_eq!(world.by_token(&EC.sign(&claims(&cluster))).await, Err(Unknown));
    assert_eq!(world.by_token(&RSA.sign(&claims(&other))).await, Err(Unknown));
    assert_eq!(world.count("key_unknown"), 2);
}

#[tokio::test]
async fn a_call_has_one_credential_in_its_headers() {
    let issuer = Issuer::start(&[&EC]).await;
    let world = World::of(&issuer).await;
    let bearer = format!("Bearer {}", EC.sign(&claims(&issuer)));
    let (token, key) = (("authorization", &*bearer), ("x-api-key", "ik_key"));
    let cases: [&[_]; 5] = [
        &[token, token],
        &[token, key],
        &[key, key],
        &[token, ("authorization", "Basic eDp5")],
        &[token, key, key],
    ];
    for headers in cases {
        let before = world.count("several_credentials");
        let result = world.identify(headers).await;
        world.assert_unknown("several", &result, "several_credentials", before);
    }
    for header in ["Basic eDp5", "Bearer", "", &bearer["Bearer ".len()..], &format!("{bearer}, {bearer}")] {
        let before = world.count("malformed");
        let result = world.identify(&[("authorization", header)]).await;
        world.assert_unknown(header, &result, "malformed", before);
    }
    let before = world.count("no_credential");
    let result = world.identify(&[("user-agent", "grpcurl")]).await;
    world.assert_unknown("none", &result, "no_credential", before);
}
