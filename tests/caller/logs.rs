//! What is logged of callers: causes, and nothing of what they presented.

use serde_json::json;

use super::{Issuer, World, but, claims, issuer::EC};
use crate::helpers::log::Log;

#[tokio::test]
async fn no_credential_is_logged() {
    let (log, issuer) = (Log::start(), Issuer::start(&[&EC]).await);
    let world = World::of(&issuer).await;
    let good = EC.sign(&claims(&issuer));
    let late = EC.sign(&but(claims(&issuer), json!({ "exp": 1 })));
    let unknown =
        EC.sign_with(&but(EC.header(), json!({ "kid": "canary-kid" })), &claims(&issuer).to_string());
    for token in [&good, &late, &unknown, &"canary.canary.canary".to_owned()] {
        let _ = world.by_token(token).await;
    }
    assert!(world.identify(&[("x-api-key", "ik_canary")]).await.is_err());
    let text = log.text();
    for cause in ["expired", "key_unknown", "malformed", "api_key_unknown"] {
        assert!(text.contains(&format!("cause=\"{cause}\"")), "{text}");
    }
    assert!(!text.contains("canary") && !text.contains("classroom"), "{text}");
    for token in [good, late, unknown] {
        for part in token.split('.') {
            assert!(!text.contains(part), "{text}");
        }
    }
}
