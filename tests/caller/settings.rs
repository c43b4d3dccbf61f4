//! `[identity]`: every mistake at once, by name.

use std::fs;

use inkpass::{
    caller::{IssuerSettings, Settings},
    principal::Principal,
};

use super::AUDIENCE;
use crate::helpers::place::Place;

fn mistakes(settings: &Settings) -> Vec<String> {
    let mistakes = settings.clone().load().err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

fn issuer() -> IssuerSettings {
    IssuerSettings {
        name: "cluster".to_owned(),
        kubernetes: true,
        issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks_url: "https://10.0.0.1:6443/openid/v1/jwks".parse().unwrap(),
        ca_file: None,
        jwks_token_file: None,
    }
}

#[test]
fn good_settings_have_no_mistakes() {
    let login = IssuerSettings {
        name: "login-2".to_owned(),
        kubernetes: false,
        issuer: "https://login.example".to_owned(),
        jwks_url: "http://127.0.0.1:8080/keys?v=1".parse().unwrap(),
        ..issuer()
    };
    let trust_domains = vec!["example.org".to_owned(), "a_b-c.1".to_owned()];
    let settings = Settings { trust_domains, issuers: vec![issuer(), login], ..Settings::default() };
    assert_eq!(mistakes(&settings), [""; 0]);
}

#[test]
fn every_mistake_is_told_by_its_setting() {
    let directory = Place::new();
    let (empty, missing) = (directory.path().join("empty"), directory.path().join("missing"));
    fs::write(&empty, "").unwrap();
    let bad = IssuerSettings {
        name: "Cluster".to_owned(),
        issuer: String::new(),
        audience: "in kpass".to_owned(),
        jwks_url: "http://user@example.org/keys".parse().unwrap(),
        ca_file: Some(empty.clone()),
        jwks_token_file: Some(missing.clone()),
        ..issuer()
    };
    let same = IssuerSettings {
        audience: issuer().issuer,
        jwks_url: "ftp://example.org/".parse().unwrap(),
        ca_file: Some(missing.clone()),
        ..issuer()
    };
    let settings = Settings {
        api_keys_file: Some(empty.clone()),
        trust_domains: ["example.org", "spiffe://example.org", "Example.org", ""].map(str::to_owned).to_vec(),
        allow_dns_san: false,
        issuers: vec![issuer(), bad, same],
        ..Settings::default()
    };
    let expected = [
        &*format!("{}:1:1: there is no key", empty.display()),
        "identity.trust_domains[1]: must be 1 to 255 of",
        "identity.trust_domains[2]: must be 1 to 255 of",
        "identity.trust_domains[3]: must be 1 to 255 of",
        "identity.issuers[1].name: must be 1 to 63 of",
        "identity.issuers[1].issuer: must be its tokens' iss",
        "identity.issuers[1].audience: must be the aud",
        "identity.issuers[1].jwks_url: must be https://, or on loopback",
        "identity.issuers[1].jwks_url: must have no user",
        "identity.issuers[1].kubernetes: only one issuer can be",
        "identity.issuers[1].ca_file: ",
        "identity.issuers[1].jwks_token_file: ",
        "identity.issuers[2].audience: is the API server's own",
        "identity.issuers[2].jwks_url: must be an https URL",
        "identity.issuers[2].name: another issuer has the same",
        "identity.issuers[2].issuer: another issuer has the same",
        "identity.issuers[2].kubernetes: only one issuer can be",
        "identity.issuers[2].ca_file: ",
    ];
    let mistakes = mistakes(&settings);
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (mistake, expected) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(expected), "{mistake} is not {expected}");
    }
    assert!(mistakes[10].ends_with("holds no certificate in PEM form"), "{}", mistakes[10]);
    assert!(mistakes[17].contains("cannot be read"), "{}", mistakes[17]);
}

#[test]
fn a_principal_has_one_of_five_forms_to_the_letter() {
    for good in [
        "k8s:classroom/api",
        "k8s:a/b.c-d",
        "oidc:login/ann@example.com",
        "oidc:login/a/b",
        "spiffe://example.org/a",
        "dns:api.classroom.svc",
        "key:billing",
    ] {
        let principal: Principal = good.parse().unwrap();
        assert_eq!(
            (principal.to_string(), format!("{principal:?}")),
            (good.into(), format!("Principal({good})"))
        );
    }
    for bad in [
        "",
        "billing",
        "key:",
        "key:a b",
        "key:a/b",
        "user:a",
        "k8s:a",
        "k8s:a/",
        "k8s:/a",
        "k8s:a/b/c",
        "k8s:*/a",
        "K8s:a/b",
        "oidc:login",
        "oidc:/a",
        "oidc:Login/a",
        "oidc:login/a b",
        "spiffe:a",
        "spiffe://example.org",
        "dns:",
        "dns:a_b",
        "dns:a b",
        " key:a",
        "key:a\n",
    ] {
        assert!(bad.parse::<Principal>().is_err(), "{bad:?}");
    }
}
