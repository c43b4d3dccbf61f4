//! Settings and key files: what is right is taken, and every mistake is listed.

mod key_files;
mod openness;
mod read_once;
mod store;

use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use inkpass::{
    config::{Config, Sources},
    document::Mistake,
    region::Region,
};

use crate::helpers::{ca::Ca, canary, place::Place};

/// A directory with two good key files and a settings file.
struct Files {
    directory: Place,
}

impl Files {
    fn new(settings: &str) -> Self {
        let files = Self { directory: Place::new() };
        files.write("access", "an-access-key\n", 0o644);
        files.write("secret", canary::secret_of("an-access-key") + "\n", 0o440);
        files.write("inkpass.toml", settings.replace("DIR", files.directory.path().to_str().unwrap()), 0o644);
        files
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn load_with(&self, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment =
            environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let file = Some(self.directory.path().join("inkpass.toml"));
        let environment = environment.collect();
        load(&Sources { file, environment, insecure_allow_all: true, ..Sources::default() })
    }

    fn mistakes(&self) -> Vec<String> {
        let directory = format!("{}/", self.directory.path().display());
        let mistakes = self.load_with(&[]).unwrap_err();
        mistakes.into_iter().map(|mistake| mistake.replace(&directory, "")).collect()
    }
}

fn load(sources: &Sources) -> Result<Config, Vec<String>> {
    Config::load(sources).map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
}

const GOOD: &str = r#"
[whiteboard]
base_url = "https://api.netless.link"
[projects.default]
default = true
region = "us-sv"
keys = [{ access_key_file = "DIR/access", secret_key_file = "DIR/secret", state = "active" }]
"#;

#[test]
fn flags_take_precedence_over_the_environment_and_that_over_the_file() {
    let files = Files::new(&format!("[server]\nlisten = \"127.0.0.1:1\"\nreflection = false\n{GOOD}"));
    let config = files.load_with(&[]).unwrap();
    assert_eq!((config.server.listen.port(), config.server.reflection), (1, false));
    assert_eq!(config.admin_listen.to_string(), "0.0.0.0:9464");
    assert_eq!(config.keyring.project("").unwrap().signing_key("").unwrap().access_key(), "an-access-key");

    let environment = [
        ("INKPASS_SERVER__LISTEN", "127.0.0.1:2"),
        ("INKPASS_SERVER__REFLECTION", "true"),
        ("INKPASS_SERVER", "http://not-a-setting"),
        ("PATH", "/bin"),
    ];
    let config = files.load_with(&environment).unwrap();
    assert_eq!((config.server.listen.port(), config.server.reflection), (2, true));

    let file = Some(files.directory.path().join("inkpass.toml"));
    let environment = vec![("INKPASS_SERVER__LISTEN".into(), "127.0.0.1:2".into())];
    let listen = Some("127.0.0.1:3".parse().unwrap());
    let insecure_allow_all = true;
    let sources = Sources { file, environment, listen, insecure_allow_all, ..Sources::default() };
    let config = load(&sources).unwrap();
    assert_eq!(config.server.listen.port(), 3);
}

#[test]
fn the_room_for_request_ids_can_be_set_but_not_to_nothing() {
    let bytes = |server: &str| {
        let files = Files::new(&format!("[server]\n{server}\n{GOOD}"));
        files.load_with(&[]).map(|config| config.server.request_id_bytes)
    };
    assert!(bytes("").unwrap() <= 16 << 20);
    assert_eq!(bytes("request_id_bytes = 100_000_000").unwrap(), 100_000_000);
    let mistakes = bytes("request_id_bytes = 65_535").unwrap_err();
    assert!(mistakes[0].contains("server.request_id_bytes: must be at least 65536"), "{mistakes:?}");
}

#[test]
fn where_telemetry_goes_is_validated_with_the_settings_and_the_standard_variables() {
    let mistakes = |telemetry: &str, environment: &[(&str, &str)]| {
        let files = Files::new(&format!("{GOOD}[telemetry]\n{telemetry}"));
        files.load_with(environment).map_err(|mistakes| mistakes.join("\n"))
    };
    let endpoint = "otlp_endpoint = 'http://collector:4318'\notlp_protocol = 'http/protobuf'";
    assert!(!mistakes(endpoint, &[]).unwrap().whiteboard.propagate_trace);
    let set = ("INKPASS_WHITEBOARD__PROPAGATE_TRACE", "true");
    assert!(mistakes(endpoint, &[set]).unwrap().whiteboard.propagate_trace);
    for (telemetry, variable, what) in [
        ("otlp_protocol = 'thrift'", "", "telemetry.otlp_protocol: must be one of grpc, http/protobuf"),
        ("otlp_endpoint = 'collector:4317'", "", "telemetry.otlp_endpoint: must be an http or https URL"),
        (
            "otlp_endpoint = 'http://a:b@collector'",
            "",
            "telemetry.otlp_endpoint: must have no user or password",
        ),
        (endpoint, "collector:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: must be an http or https URL"),
    ] {
        let told = mistakes(telemetry, &[("OTEL_EXPORTER_OTLP_ENDPOINT", variable)]).unwrap_err();
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn every_mistake_is_listed_by_name_and_without_its_value() {
    let settings = r#"
typo = 1
[server]
listen = "SECRET-5"
reflection = "yes"
tls_cert_file = "/without/a/key"
[admin]
listen = 7
[whiteboard]
base_url = "ftp://SECRET-6"
[telemetry]
log_format = "xml"
log_level = "loud"
[projects.a]
default = true
region = "SECRET-7"
keys = [
    { state = "on", access_key_file = "DIR/access", secret_key_file = "DIR/secret" },
    { state = "active" },
]
[projects.b]
default = true
keys = [{ secret_key = "SECRET-8", access_key_file = "DIR/access", secret_key_file = "DIR/secret", state = "retiring" }]
"#;
    let mistakes = Files::new(settings).mistakes();
    let place = |mistake: &str| mistake.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ");
    let places: Vec<_> = mistakes.iter().map(|mistake| place(mistake)).collect();
    let expected = [
        "2:1: typo",
        "3:1: server.tls_key_file",
        "4:10: server.listen",
        "5:14: server.reflection",
        "8:10: admin.listen",
        "10:12: whiteboard.base_url",
        "12:14: telemetry.log_format",
        "13:13: telemetry.log_level",
        "16:10: projects.a.region",
        "17:8: projects.a.keys",
        "18:15: projects.a.keys[0].state",
        "19:5: projects.a.keys[1].access_key_file",
        "19:5: projects.a.keys[1].secret_key_file",
        "22:11: projects.b.default",
        "23:8: projects.b.keys",
        "23:11: projects.b.keys[0].secret_key",
    ];
    assert_eq!(places, expected.map(|place| format!("inkpass.toml:{place}")), "{mistakes:#?}");
    assert!(!mistakes.join("\n").contains("SECRET"), "{mistakes:#?}");
}

#[test]
fn a_file_that_is_missing_empty_or_not_toml_is_named() {
    for (settings, mistake) in [
        ("", "inkpass.toml: is empty"),
        (" \n", "inkpass.toml: is empty"),
        ("[server]\nlisten = = 1", "inkpass.toml:2:10: this is not TOML"),
        ("[server]", "inkpass.toml: projects: there is none"),
        ("[projects]", "inkpass.toml:1:1: projects: there is none"),
        ("projects = 1", "inkpass.toml:1:12: projects: must be a table"),
    ] {
        let mistakes = Files::new(settings).mistakes();
        assert!(mistakes.iter().any(|found| found.starts_with(mistake)), "{mistakes:?}");
    }
    let missing = Sources { file: Some("/nowhere/inkpass.toml".into()), ..Sources::default() };
    assert!(load(&missing).unwrap_err()[0].starts_with("/nowhere/inkpass.toml: cannot be read"));
    assert!(load(&Sources::default()).unwrap_err()[0].contains("--config or INKPASS_CONFIG"));
}

#[test]
fn an_environment_variable_that_sets_nothing_is_a_mistake() {
    let mistakes = Files::new(GOOD)
        .load_with(&[
            ("INKPASS_SERVER__LISTN", "x"),
            ("INKPASS_PROJECTS__DEFAULT__REGION", "eu"),
            ("INKPASS_SERVER__LISTEN", "nonsense"),
        ])
        .unwrap_err();
    for start in [
        "INKPASS_SERVER__LISTN: names no known setting",
        "INKPASS_PROJECTS__DEFAULT__REGION: names no known setting",
        "INKPASS_SERVER__LISTEN: server.listen: must be an address",
    ] {
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(start)), "{start} in {mistakes:?}");
    }
    assert_eq!(mistakes.len(), 3);
}

#[test]
fn an_index_is_that_of_the_file_or_not_told() {
    let mistakes = |first: &str| {
        let files = "access_key_file = 'DIR/access', secret_key_file = 'DIR/secret'";
        let same = "access_key_file = 'DIR/secret', secret_key_file = 'DIR/secret', state = 'active'";
        let keys = format!("keys = [\n  {{ {files}{first} }},\n  {{ {same} }},\n]");
        Files::new(&format!("[projects.a]\n{keys}\n")).mistakes()
    };
    let (complete, incomplete) = (mistakes(", state = 'retiring'"), mistakes(""));
    assert_eq!((complete.len(), incomplete.len()), (1, 1), "{complete:#?} {incomplete:#?}");
    assert!(
        complete[0].starts_with("inkpass.toml:4:3: projects.a.keys[1]: both files hold the same"),
        "{complete:#?}"
    );
    assert!(
        incomplete[0].starts_with("inkpass.toml:3:3: projects.a.keys[0].state: is missing"),
        "{incomplete:#?}"
    );
}

#[test]
fn a_mistake_found_late_stands_where_its_setting_does() {
    let settings = format!("[identity]\nallow_dns_san = true\n{GOOD}");
    let environment = [("INKPASS_WHITEBOARD__BASE_URL", "http://emulator"), ("INKPASS_AUDIT__OUTPUT", "/")];
    let mistakes = Files::new(&settings).load_with(&environment).unwrap_err();
    let starts = [
        "inkpass.toml:1:1: identity: server.client_ca_file asks callers for certificates",
        "INKPASS_WHITEBOARD__BASE_URL: whiteboard.base_url: http:// would send tokens in the clear",
        "INKPASS_AUDIT__OUTPUT: audit.output: must be stdout",
    ];
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(starts) {
        assert!(mistake.contains(start), "{mistake} is not {start}");
    }
}

#[test]
fn a_plaintext_upstream_off_loopback_needs_consent() {
    let with = |base_url: &str, more: &str| {
        GOOD.replace("\"https://api.netless.link\"", &format!("\"{base_url}\"\n{more}"))
    };
    for loopback in ["http://127.0.0.1:8089", "http://[::1]:8089", "http://localhost:1"] {
        Files::new(&with(loopback, "")).load_with(&[]).unwrap();
    }
    Files::new(&with("http://emulator:8089", "allow_plaintext = true")).load_with(&[]).unwrap();
    for (base_url, more) in [
        ("http://emulator:8089", ""),
        ("http://10.0.0.1", "allow_plaintext = false"),
        ("https://user@host", ""),
        ("https://:password@host", ""),
        ("https://h/?q", ""),
        ("https://h/v5", ""),
        ("https://h/agora/v5/", ""),
    ] {
        let mistakes = Files::new(&with(base_url, more)).mistakes();
        assert!(mistakes[0].starts_with("inkpass.toml:3:12: whiteboard.base_url: "), "{mistakes:?}");
    }
    Files::new(&with("https://gateway/agora", "")).load_with(&[]).unwrap();
}

#[test]
fn a_project_s_name_cannot_move_a_terminal_s_cursor() {
    for name in ["\"\"", "\"a\\u001b[2J\"", "\"a b\"", "\"a/b\""] {
        let settings = GOOD.replace("[projects.default]", &format!("[projects.{name}]"));
        let mistakes = Files::new(&settings).mistakes();
        assert!(mistakes[0].contains(": projects.") && !mistakes[0].contains('\u{1b}'), "{mistakes:?}");
    }
}

#[test]
fn the_upstream_is_the_vendor_s_unless_another_is_named() {
    let projects = &GOOD[GOOD.find("[projects").unwrap()..];
    let config = Files::new(projects).load_with(&[]).unwrap();
    assert_eq!(config.whiteboard.base_url.as_str(), "https://api.netless.link/");
}

#[test]
fn a_line_is_counted_as_an_editor_does() {
    let mistakes = Files::new("[server]\nlisten = 1\nlisten = 2\n").mistakes();
    assert!(mistakes[0].starts_with("inkpass.toml:3:1: "), "{mistakes:?}");
}

#[test]
fn an_emulator_needs_only_the_projects() {
    let projects = &GOOD[GOOD.find("[projects").unwrap()..];
    let files = Files::new(&format!("[whiteboard]\nnonsense = 1\n{projects}"));
    let file = Some(files.directory.path().join("inkpass.toml"));
    let keyring = inkpass::config::load_keyring(&Sources { file, ..Sources::default() }).unwrap();
    assert!(keyring.project("").is_some());
}

#[test]
fn polling_faster_than_the_vendor_asks_for_is_for_an_emulator() {
    let with = |base_url: &str, watch: &str| {
        let settings = GOOD.replace("https://api.netless.link", base_url);
        Files::new(&format!("[watch]\n{watch}\n{settings}"))
    };
    let fast = with("http://127.0.0.1:1", "poll_interval = '10ms'").load_with(&[]).unwrap();
    assert_eq!(fast.watch.poll_interval.as_millis(), 10);
    for watch in
        ["poll_interval = '2s'", "poll_interval = '0s'", "max_duration = '5m'", "max_duration = '10ms'"]
    {
        let mistakes = with("https://api.netless.link", watch).mistakes();
        assert!(
            mistakes[0].starts_with("inkpass.toml:2:") && mistakes[0].contains(": watch."),
            "{mistakes:?}"
        );
    }
}

#[test]
fn a_proxy_of_socks_is_refused_by_its_variable_where_a_call_would_go_through_it() {
    const SOCKS: &str = "socks5://user:SECRET@proxy:1080";
    let mistakes = |settings: &str, variables: &[(&str, &str)]| {
        Files::new(settings).load_with(variables).err().unwrap_or_default()
    };
    for variables in [
        &[("HTTPS_PROXY", SOCKS)][..],
        &[("https_proxy", "socks4a://proxy")],
        &[("all_proxy", "socks5h://proxy")],
        &[("HTTPS_PROXY", ""), ("ALL_PROXY", SOCKS)],
        &[("HTTPS_PROXY", SOCKS), ("NO_PROXY", "other.example")],
    ] {
        let found = mistakes(GOOD, variables);
        let name = variables.iter().find(|(_, value)| value.starts_with("socks")).unwrap().0;
        assert!(found[0].starts_with(&format!("{name}: names a SOCKS proxy")), "{found:?}");
        assert!(found.len() == 1 && !found[0].contains("SECRET"), "{found:?}");
    }
    for variables in [
        &[("HTTP_PROXY", SOCKS)][..],
        &[("HTTPS_PROXY", "127.0.0.1:3128"), ("ALL_PROXY", SOCKS)],
        &[("HTTPS_PROXY", "http://proxy:3128"), ("https_proxy", SOCKS)],
        &[("HTTPS_PROXY", SOCKS), ("NO_PROXY", "netless.link")],
        &[("HTTPS_PROXY", SOCKS), ("REQUEST_METHOD", "GET")],
        &[("HTTPS_PROXY", SOCKS), ("INKPASS_WHITEBOARD__PROXY", "http://proxy:3128")],
    ] {
        assert_eq!(mistakes(GOOD, variables), Vec::<String>::new(), "{variables:?}");
    }
    let emulator = GOOD.replace("https://api.netless.link", "http://127.0.0.1:8089");
    assert_eq!(
        mistakes(&emulator, &[("HTTPS_PROXY", SOCKS)]),
        Vec::<String>::new(),
        "nothing goes through it"
    );
}

#[test]
fn the_way_to_the_upstream_is_judged_whole_and_shows_no_password() {
    let with = |more: &str| GOOD.replace("[projects.default]", &format!("{more}\n[projects.default]"));
    let ca = Ca::new("one");
    let ca_file = ca.path("ca.crt").display().to_string();
    let good = with(&format!(
        "proxy = 'http://user:SECRET@proxy:3128'\nca_file = '{ca_file}'\n\
         base_urls = {{ 'eu' = 'https://eu.example/', \"in-mum\" = 'http://127.0.0.1:1' }}"
    ));
    let good = good.replace("region = \"us-sv\"", "region = \"us-sv\"\nconversion_region = \"sg\"");
    let config = Files::new(&good).load_with(&[]).unwrap();
    assert!(format!("{config:?}").contains("http://proxy:3128") && !format!("{config:?}").contains("SECRET"));
    let urls: Vec<_> =
        config.whiteboard.base_urls.iter().map(|(region, url)| (*region, url.as_str())).collect();
    assert_eq!(urls, [(Region::InMum, "http://127.0.0.1:1/"), (Region::Eu, "https://eu.example/")]);
    assert_eq!(config.projects[0].conversion_region, Some(Region::Sg));

    let files = Files::new(&with(
        "proxy = 'socks5://SECRET-1'\nca_file = 'DIR/empty.crt'\n[whiteboard.base_urls]\n\
         eu = 'http://SECRET-2'\nsg = 'https://user:SECRET-3@h'\nmars = 'https://h'\ncn-hz = 'SECRET-4'",
    ));
    files.write("empty.crt", "", 0o644);
    let mistakes = files.mistakes();
    let expected = [
        "inkpass.toml:4:9: whiteboard.proxy: must be an http or https URL without a path, such as \"http://proxy:3128\"",
        "inkpass.toml:7:6: whiteboard.base_urls.eu: http:// would send tokens in the clear; use https://, or set \
         whiteboard.allow_plaintext = true",
        "inkpass.toml:8:6: whiteboard.base_urls.sg: must have no user, query or fragment",
        "inkpass.toml:9:8: whiteboard.base_urls.mars: the region must be one of us-sv, sg, in-mum, eu, gb-lon, cn-hz",
        "inkpass.toml:10:9: whiteboard.base_urls.cn-hz: must be an http or https URL, such as \
         \"https://api.netless.link\"",
        "empty.crt: holds no certificate in PEM form",
    ];
    assert_eq!(mistakes, expected);
    let variable = [("INKPASS_WHITEBOARD__PROXY", "SECRET")];
    let mistakes = Files::new(GOOD).load_with(&variable).unwrap_err();
    assert!(mistakes[0].starts_with("INKPASS_WHITEBOARD__PROXY: whiteboard.proxy: must be"), "{mistakes:?}");
    assert!(!mistakes[0].contains("SECRET"), "{mistakes:?}");
}
