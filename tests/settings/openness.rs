//! Nothing is left open by accident: neither who may call, nor what may be done.

use inkpass::config::Sources;

use super::{Files, GOOD, load};

const POLICY: &str = r#"
[[grants]]
name = "all"
principals = ["key:a"]
rpcs = ["inkpass.v1.TokenService/IssueToken"]
projects = ["default"]
tokens = [{ kind = "room", strongest_role = "writer", max_ttl = "1h" }]
"#;

#[test]
fn what_may_be_done_is_never_left_open_by_accident_either() {
    let mistakes_of = |settings: &str, policy: Option<&str>, insecure_allow_all: bool| {
        let files =
            Files::new(&format!("{settings}\n[identity]\napi_keys_file = 'DIR/callers.toml'\n{GOOD}"));
        files.write(
            "callers.toml",
            format!("[[api_keys]]\nprincipal = 'key:a'\nsha256 = '{}'\n", "0".repeat(64)),
            0o440,
        );
        if let Some(policy) = policy {
            files.write("policy.toml", policy, 0o444);
        }
        let file = Some(files.directory.path().join("inkpass.toml"));
        let listen = Some("127.0.0.1:1".parse().unwrap());
        let sources = Sources { file, insecure_allow_all, listen, ..Sources::default() };
        load(&sources).err().unwrap_or_default().join("\n")
    };
    let named = "[policy]\nfile = 'DIR/policy.toml'";
    assert_eq!(mistakes_of(named, Some(POLICY), false), "");
    assert!(mistakes_of("", None, false).contains("policy.file: is missing"));
    assert_eq!(mistakes_of("", None, true), "");
    assert!(mistakes_of(named, None, true).contains("policy.toml"), "a file that is named must be there");
    let typo = POLICY.replace("max_ttl", "max_tll");
    assert!(
        mistakes_of(named, Some(&typo), false).contains("policy.toml:7:55: grants[0].tokens[0].max_tll: "),
        "{}",
        mistakes_of(named, Some(&typo), false)
    );
    let other_project = POLICY.replace("\"default\"", "\"other\"");
    assert!(
        mistakes_of(named, Some(&other_project), false).contains("grants[0].projects"),
        "a project that there is not"
    );

    for (audit, mistake) in [
        ("output = 'stdout'\non_failure = 'allow'", None),
        ("output = 7", Some("audit.output: must be stdout, or the path")),
        ("on_failure = 'ignore'", Some("audit.on_failure: must be deny or allow")),
        ("salt_file = 'DIR/access'", Some("audit.salt_file: is open to other users")),
        ("output = 'DIR/secret'", Some("audit.output: is a file that another setting names")),
        ("output = 'DIR/../DIR/policy.toml'", Some("audit.output: must be stdout, or a file in a directory")),
        ("output = 'DIR/./policy.toml'", Some("audit.output: is a file that another setting names")),
    ] {
        let mistakes = mistakes_of(&format!("{named}\n[audit]\n{audit}"), Some(POLICY), false);
        assert!(
            mistake.map_or(mistakes.is_empty(), |mistake| mistakes.contains(mistake)),
            "{audit}: {mistakes}"
        );
    }
}

#[test]
fn the_audit_trail_goes_to_no_file_of_an_issuer() {
    let issuer = "name = 'a', issuer = 'https://a', audience = 'b', jwks_url = 'https://a/keys'";
    for file in ["ca_file", "jwks_token_file"] {
        let identity = format!("issuers = [{{ {issuer}, {file} = 'DIR/of-issuer' }}]");
        let mistakes =
            identity_mistakes("", &format!("{identity}\n[audit]\noutput = 'DIR/of-issuer'"), false);
        let is_named =
            mistakes.iter().any(|mistake| mistake.contains("audit.output: is a file that another"));
        assert!(is_named, "{file}: {mistakes:?}");
    }
}

/// What is said of how callers come in, where everything else is right.
fn identity_mistakes(server: &str, identity: &str, insecure_allow_all: bool) -> Vec<String> {
    let policy = "[policy]\nfile = 'DIR/policy.toml'";
    let files = Files::new(&format!("[server]\n{server}\n[identity]\n{identity}\n{policy}\n{GOOD}"));
    files.write("policy.toml", POLICY, 0o444);
    files.write(
        "callers.toml",
        format!("[[api_keys]]\nprincipal = 'key:a'\nsha256 = '{}'\n", "0".repeat(64)),
        0o440,
    );
    let file = Some(files.directory.path().join("inkpass.toml"));
    load(&Sources { file, insecure_allow_all, ..Sources::default() }).err().unwrap_or_default()
}

#[test]
fn who_may_call_is_never_left_open_by_accident() {
    let keys = "api_keys_file = 'DIR/callers.toml'";
    let issuer =
        "issuers = [{ name = 'a', issuer = 'https://i', audience = 'inkpass', jwks_url = 'https://i/jwks' }]";
    let local = "listen = '127.0.0.1:1'";
    for (server, identity, everyone, mistake) in [
        ("", "", false, Some("identity: no caller could be authenticated")),
        ("", "", true, None),
        ("", keys, false, Some("server: tokens and API keys would cross the network in the clear")),
        ("", issuer, false, Some("server: tokens and API keys would cross the network in the clear")),
        ("", keys, true, Some("server: tokens and API keys would cross the network in the clear")),
        (local, keys, false, None),
        (local, issuer, false, None),
        ("plaintext = true", keys, false, None),
        ("client_ca_file = 'DIR/access'", keys, false, Some("server.client_ca_file: asks for certificates")),
        (local, "trust_domains = ['example.org']", false, Some("identity: server.client_ca_file asks")),
        (
            local,
            "allow_dns_san = true\napi_keys_file = 'DIR/callers.toml'",
            false,
            Some("set both or neither"),
        ),
        (local, "trust_domains = 'example.org'", true, Some("identity.trust_domains: must be a list")),
        (local, "trust_domains = [7]", true, Some("identity.trust_domains[0]: must be text")),
        (local, "issuers = [{ name = 'a' }]", false, Some("identity.issuers[0].jwks_url: is missing")),
        (local, "api_keys_file = 'DIR/secret'", false, Some("secret:1:")),
        (
            "tls_cert_file = 'DIR/access'\ntls_key_file = 'DIR/secret'",
            keys,
            false,
            Some("holds no certificate"),
        ),
        ("tls_key_file = 'DIR/secret'", keys, false, Some("server.tls_cert_file: is missing")),
        ("tls_names = ['a.example']", keys, false, Some("server.tls_names: are a certificate's")),
        (
            "tls_names = ['not a name']",
            keys,
            false,
            Some("server.tls_names[0]: must be a DNS name or an IP address"),
        ),
    ] {
        let mistakes = identity_mistakes(server, identity, everyone);
        match mistake {
            None => assert!(mistakes.is_empty(), "{server} {identity}: {mistakes:#?}"),
            Some(mistake) => {
                assert!(mistakes.iter().any(|m| m.contains(mistake)), "{server} {identity}: {mistakes:#?}");
            }
        }
    }
}
