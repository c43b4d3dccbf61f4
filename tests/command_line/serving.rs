//! dev, serve, emulator, check, token and health.

use std::{
    fs,
    io::{BufRead, Write},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{Served, fail, inkpass, run, succeed, text};
use crate::helpers::{canary::secret_of, place::Place};

#[test]
fn dev_serves_everything_and_the_client_commands_use_it() {
    let dev = Served::dev();
    let server = dev.server();
    assert_eq!(succeed(&["health", "--server", &server]), "SERVING\n");

    let issue = ["token", "issue", "--kind", "room", "--uuid", "r1", "--role", "writer", "--server", &server];
    let token = succeed(&issue);
    assert!(token.starts_with("NETLESSROOM_") && token.lines().count() == 1);
    let verified = succeed(&["token", "verify", token.trim(), "--server", &server]);
    assert!(verified.contains("valid: true\n") && verified.contains("claims.uuid: r1\n"), "{verified}");

    let permanent = [&issue[..], &["--permanent", "--output", "json"]].concat();
    let json: Value = serde_json::from_str(&succeed(&permanent)).unwrap();
    assert_eq!(
        (&json["token"]["kind"], &json["token"]["expire_time"]),
        (&"TOKEN_KIND_ROOM".into(), &Value::Null)
    );

    let room = [
        "room",
        "create",
        "--region",
        "eu",
        "--grant-role",
        "writer",
        "--grant-ttl",
        "10m",
        "--server",
        &server,
    ];
    let text = succeed(&room);
    assert!(
        text.contains("room.region: REGION_EU\n") && text.contains("token.value: NETLESSROOM_"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&succeed(&[&room[..], &["--output", "json"]].concat())).unwrap();
    assert_eq!(json["room"]["disabled"], false, "default values are printed");
    assert_eq!(json["room"]["uuid"], json["token"]["uuid"]);

    let resource = "https://example.com/slides.pptx";
    let start =
        ["conversion", "start", resource, "--format", "dynamic", "--preview", "--grant-role", "reader"];
    let json = succeed(&[&start[..], &["--server", &server, "--output", "json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["conversion"]["status"], "CONVERSION_STATUS_WAITING");
    assert_eq!(json["token"]["kind"], "TOKEN_KIND_TASK");
}

#[test]
fn dev_s_keys_are_files_that_verify_its_tokens_offline() {
    let mut dev = Served::dev();
    let directory = dev.part("keys");
    let path = |name: &str| Path::new(&directory).join(name).to_str().unwrap().to_owned();
    let (access, secret) = (path("access-key"), path("secret-key"));
    let offline = ["--offline", "--access-key-file", &access, "--secret-key-file", &secret];

    let issue = ["token", "issue", "--kind", "sdk", "--role", "reader"];
    let token = succeed(&[&issue[..], &["--server", &dev.server()]].concat());
    let output = succeed(&[&["token", "verify", token.trim()], &offline[..]].concat());
    assert!(output.contains("valid: true\n"));
    let made_offline = succeed(&[&issue[..], &["--ttl", "1000days"], &offline[..]].concat());
    succeed(&["token", "verify", made_offline.trim(), "--server", &dev.server()]);

    dev.signal("TERM");
    assert!(dev.process.wait().unwrap().success());
    assert!(!Path::new(&directory).exists(), "ephemeral keys are deleted");
    let mut rest = String::new();
    dev.stdout.read_line(&mut rest).unwrap();
    assert_eq!(rest, "", "one line on standard output");
}

#[test]
fn a_token_is_read_from_standard_input() {
    let dev = Served::dev();
    let server = dev.server();
    let token = succeed(&["token", "issue", "--kind", "sdk", "--role", "admin", "--server", &server]);
    let mut verify = inkpass(&["token", "verify", "-", "--server", &server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    verify.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    assert!(verify.wait_with_output().unwrap().status.success());
}

#[test]
fn an_invalid_token_prints_why_and_exits_with_1() {
    let dev = Served::dev();
    let output = run(&["token", "verify", "WHITEabc", "--server", &dev.server()]);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(
        printed.contains("error: invalid format of token\n") && printed.contains("TOKEN_ERROR_LEGACY"),
        "{printed}"
    );
}

#[test]
fn a_refusal_goes_to_standard_error_with_its_reason_and_advice() {
    let dev = Served::dev();
    let error = fail(
        1,
        &["token", "issue", "--kind", "sdk", "--role", "admin", "--ttl", "2h", "--server", &dev.server()],
    );
    assert!(error.starts_with("inkpass: TTL_ABOVE_MAXIMUM: ") && error.contains("ask for less"), "{error}");
    let error =
        fail(1, &["conversion", "start", "nonsense", "--format", "static", "--server", &dev.server()]);
    assert!(error.contains("INVALID_REQUEST") && error.contains("\n  resource: must be"), "{error}");
    let error = fail(1, &["health", "--server", "http://127.0.0.1:1"]);
    assert!(error.contains("cannot connect to http://127.0.0.1:1"), "{error}");
}

#[test]
fn wrong_usage_and_wrong_settings_exit_with_64() {
    for arguments in [
        &["token", "issue", "--kind", "room", "--role", "writer"][..],
        &["token", "issue", "--kind", "roof", "--role", "writer"],
        &["token", "issue", "--kind", "sdk", "--role", "writer", "--ttl", "1h", "--permanent"],
        &["token", "issue", "--kind", "sdk", "--role", "writer", "--offline"],
        &["room", "create", "--grant-ttl", "1h"],
        &["serve"],
        &["check"],
        &["serve", "--config", "/nowhere.toml"],
        &["dev", "--listen", "0.0.0.0:0"],
        &["dev", "--emulator-listen", "192.0.2.1:1"],
        &["nonsense"],
        &[],
    ] {
        assert!(!fail(64, arguments).is_empty(), "{arguments:?}");
    }
    assert!(succeed(&["--help"]).contains("serve"));
    assert!(succeed(&["--version"]).starts_with("inkpass "));
}

#[test]
fn check_and_serve_and_emulator_use_one_settings_file() {
    let directory = Place::new();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("access"), "an-access-key\n").unwrap();
    fs::write(path("secret"), secret_of("an-access-key")).unwrap();
    assert!(Command::new("chmod").args(["0600", &path("secret")]).status().unwrap().success());
    let write_settings = |upstream: &str| {
        let keys = format!("access_key_file = '{}', secret_key_file = '{}'", path("access"), path("secret"));
        let project = format!("[projects.default]\nregion = 'eu'\nkeys = [{{ {keys}, state = 'active' }}]");
        let settings = format!("[whiteboard]\nbase_url = '{upstream}'\n{project}\n");
        fs::write(path("inkpass.toml"), settings).unwrap();
    };
    let config = path("inkpass.toml");
    write_settings("https://api.netless.link");
    assert!(
        succeed(&["check", "--insecure-allow-all", "--config", &config])
            .contains(&format!("project default: default region eu\n  active key of {}\n", path("access")))
    );

    let any = "127.0.0.1:0";
    let emulator = Served::start(&["emulator", "--config", &config, "--emulator-listen", any]);
    write_settings(&format!("http://{}", emulator.part("emulator")));
    let error = fail(64, &["serve", "--config", &config]);
    assert!(error.contains("identity: no caller could be authenticated"), "{error}");
    let serve =
        ["serve", "--insecure-allow-all", "--config", &config, "--listen", any, "--admin-listen", any];
    let server = Served::start(&serve);
    let room = succeed(&["room", "create", "--server", &server.server()]);
    assert!(
        room.contains("room.region: REGION_EU\n") && room.contains("access_key: an-access-key"),
        "{room}"
    );

    fs::write(path("secret"), "short").unwrap();
    fs::write(&config, fs::read_to_string(&config).unwrap() + "[server]\nlistn = 1\n").unwrap();
    for command in ["check", "serve"] {
        let error = fail(64, &[command, "--config", &config]);
        assert!(
            error.contains("less than 16 bytes") && error.contains("server.listn: is not a known"),
            "{error}"
        );
    }
}
