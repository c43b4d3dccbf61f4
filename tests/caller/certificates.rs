//! Certificates of connections: one SPIFFE ID to the letter, or one DNS name (fault case 34).

use std::time::Duration;

use inkpass::caller::{Settings, Unknown};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use super::{Issuer, World, claims, header_map, issuer::EC};

const ID: &str = "spiffe://example.org/ns/classroom/sa/api";

/// A certificate with these names: `dns:` before a DNS name, else a URI.
pub(super) fn certificate(names: &[&str]) -> CertificateDer<'static> {
    certificate_with(names, |_| ())
}

fn certificate_with(names: &[&str], change: impl Fn(&mut CertificateParams)) -> CertificateDer<'static> {
    let name = |name: &&str| match name.strip_prefix("dns:") {
        Some(name) => SanType::DnsName(name.try_into().unwrap()),
        None => SanType::URI((*name).try_into().unwrap()),
    };
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.iter().map(name).collect();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn world(allow_dns_san: bool) -> World {
    let trust_domains = vec!["example.org".to_owned(), "td".to_owned()];
    World::start(&Settings { trust_domains, allow_dns_san, ..Settings::default() })
}

#[tokio::test]
async fn a_spiffe_id_of_a_trusted_domain_is_the_principal_itself() {
    let world = world(false);
    let long = format!("spiffe://td/{}", "a".repeat(2048 - 12));
    for id in [ID, "spiffe://td/a", "spiffe://td/a/b", "spiffe://td/A.b-C_d/...", &long] {
        assert_eq!(world.by_certificate(&certificate(&[id])).await.unwrap().as_str(), id);
        // Names of other kinds are nothing to us.
        assert_eq!(world.by_certificate(&certificate(&["dns:api", id])).await.unwrap().as_str(), id);
    }
}

#[tokio::test]
async fn every_other_name_is_refused() {
    let long = format!("spiffe://td/{}", "a".repeat(2048 - 11));
    let cases: &[(&[&str], &str)] = &[
        (&[], "certificate_name"),
        (&["dns:api.classroom.svc"], "certificate_name"),
        (&[ID, "spiffe://example.org/b"], "certificate_name"),
        (&[ID, ID], "certificate_name"),
        (&[ID, "https://example.org"], "certificate_name"),
        (&["spiffe://example.com/ns/classroom/sa/api"], "trust_domain"),
        (&["spiffe://sub.example.org/a"], "trust_domain"),
        (&["spiffe://example.org.evil.example/a"], "trust_domain"),
        (&["https://example.org/a"], "certificate_name"),
        (&["SPIFFE://example.org/a"], "certificate_name"),
        (&["spiffe:example.org/a"], "certificate_name"),
        (&["spiffe:///a"], "certificate_name"),
        (&["spiffe://Example.org/a"], "certificate_name"),
        (&["spiffe://example%2Eorg/a"], "certificate_name"),
        (&["spiffe://example.org/%61"], "certificate_name"),
        (&["spiffe://example.org"], "certificate_name"),
        (&["spiffe://example.org/"], "certificate_name"),
        (&["spiffe://example.org//a"], "certificate_name"),
        (&["spiffe://example.org/a/"], "certificate_name"),
        (&["spiffe://example.org/a//b"], "certificate_name"),
        (&["spiffe://example.org/."], "certificate_name"),
        (&["spiffe://example.org/a/../b"], "certificate_name"),
        (&["spiffe://example.org/a?b"], "certificate_name"),
        (&["spiffe://example.org/a#b"], "certificate_name"),
        (&["spiffe://example.org:443/a"], "certificate_name"),
        (&["spiffe://user@example.org/a"], "certificate_name"),
        (&["spiffe://example.org/*"], "certificate_name"),
        (&["spiffe://example.org/a b"], "certificate_name"),
        (&["spiffe://example.org/a\n"], "certificate_name"),
        (&[&long], "certificate_name"),
    ];
    for allow_dns_san in [false, true] {
        let world = world(allow_dns_san);
        for (names, cause) in
            cases.iter().filter(|(names, _)| !allow_dns_san || !names.concat().contains("dns:"))
        {
            let before = world.count(cause);
            let result = world.by_certificate(&certificate(names)).await;
            world.assert_unknown(&format!("{names:?}"), &result, cause, before);
        }
    }
}

#[tokio::test]
async fn a_dns_name_is_a_principal_where_the_settings_say_so() {
    let world = world(true);
    let named = world.by_certificate(&certificate(&["dns:api.classroom.svc"])).await.unwrap();
    assert_eq!(named.as_str(), "dns:api.classroom.svc");
    let long = format!("dns:{}.example.org", "a".repeat(64));
    let bad: &[&[&str]] = &[
        &["dns:a", "dns:b"],
        &["dns:a", "dns:a"],
        &["dns:*.example.org"],
        &["dns:Api.example.org"],
        &["dns:example.org."],
        &["dns:a..b"],
        &["dns:-a.org"],
        &["dns:"],
        &["dns:a/b"],
        &[&long],
        // A URI is never passed over.
        &["dns:a", "https://example.org"],
        &["dns:a", "spiffe://Example.org/a"],
    ];
    for names in bad {
        let before = world.count("certificate_name");
        let result = world.by_certificate(&certificate(names)).await;
        world.assert_unknown(&format!("{names:?}"), &result, "certificate_name", before);
    }
}

#[tokio::test]
async fn a_certificate_is_good_while_it_is_valid() {
    let world = world(false);
    let valid = certificate_with(&[ID], |params| {
        params.not_before = date_time_ymd(2026, 9, 21);
        params.not_after = date_time_ymd(2026, 9, 22);
    });
    // It is 14:13:20 on that day.
    let (since_midnight, until_midnight) = (51_200_000, 35_200_000);
    world.clock.step(-since_midnight - 1);
    let result = world.by_certificate(&valid).await;
    world.assert_unknown("before", &result, "not_yet_valid", 0);
    world.clock.step(1);
    assert!(world.by_certificate(&valid).await.is_ok());
    world.clock.step(since_midnight + until_midnight);
    assert!(world.by_certificate(&valid).await.is_ok());
    // Though its connection may go on.
    world.clock.advance(Duration::from_secs(1));
    let result = world.by_certificate(&valid).await;
    world.assert_unknown("after", &result, "expired", 0);
}

/// `subjectAltName`s as they are written.
fn names_in_der(names: &[&[u8]]) -> CustomExtension {
    let content = names.concat();
    let der = [&[0x30, u8::try_from(content.len()).unwrap()][..], &content].concat();
    CustomExtension::from_oid_content(&[2, 5, 29, 17], der)
}

#[tokio::test]
async fn a_certificate_that_is_not_a_caller_s_is_refused() {
    let world = world(true);
    let good = certificate(&[ID]);
    let uri = [&[0x86, 13][..], b"spiffe://td/a"].concat();
    let with = |extensions: Vec<CustomExtension>| {
        certificate_with(&[], |params| params.custom_extensions = extensions.clone())
    };
    let ca = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signs = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    assert_eq!(
        world.by_certificate(&with(vec![names_in_der(&[&uri])])).await.unwrap().as_str(),
        "spiffe://td/a"
    );
    let cases = [
        ("a CA's", certificate_with(&[ID], ca), "certificate"),
        ("one that signs others", certificate_with(&[ID], signs), "certificate"),
        ("nothing", Vec::new().into(), "certificate"),
        ("half of one", good[..good.len() / 2].to_vec().into(), "certificate"),
        ("something behind it", [&good[..], &[0]].concat().into(), "certificate"),
        ("names twice", with(vec![names_in_der(&[&uri]), names_in_der(&[&uri])]), "certificate"),
        ("names cut short", with(vec![names_in_der(&[&uri, &[0x86, 9]])]), "certificate"),
        (
            "a second URI that is no text",
            with(vec![names_in_der(&[&uri, &[0x86, 1, 0xff]])]),
            "certificate_name",
        ),
        (
            "a URI that is no text",
            with(vec![names_in_der(&[&[0x86, 1, 0xff], &[0x82, 1, b'a']])]),
            "certificate_name",
        ),
    ];
    for (what, certificate, cause) in cases {
        let before = world.count(cause);
        let result = world.by_certificate(&certificate).await;
        world.assert_unknown(what, &result, cause, before);
    }
}

#[tokio::test]
async fn headers_go_before_the_certificate_and_are_not_rescued_by_it() {
    let issuer = Issuer::start(&[&EC]).await;
    let settings = Settings { trust_domains: vec!["example.org".to_owned()], ..Settings::default() };
    let world = World::with(&issuer, settings).await;
    let chain = [certificate(&[ID]), certificate(&["spiffe://example.org/ca"])];
    let identify = async |headers: &[_]| world.callers.identify(&header_map(headers), Some(&chain)).await;
    assert_eq!(identify(&[("user-agent", "x")]).await.unwrap().as_str(), ID, "the first one is the caller's");
    let bearer = format!("Bearer {}", EC.sign(&claims(&issuer)));
    assert_eq!(identify(&[("authorization", &bearer)]).await.unwrap().as_str(), "k8s:classroom/api");
    for bad in
        [("authorization", "Bearer x.y.z"), ("authorization", ""), ("x-api-key", "ik_x"), ("x-api-key", "")]
    {
        assert_eq!(identify(&[bad]).await, Err(Unknown), "{bad:?}");
    }
    assert_eq!(world.callers.identify(&header_map(&[]), Some(&[])).await, Err(Unknown));
}
