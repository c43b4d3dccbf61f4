//! What this process shows to those that it calls: passwords, tokens and headers of its own. They repeat it in all that they
//! answer, and it must be nowhere else.

use std::{
    fmt::Write,
    fs,
    sync::{Arc, Mutex},
};

use futures_util::future::join_all;
use inkpass::client::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    Program,
    any_call::{Filling, call, methods},
    check, write_files,
};
use crate::helpers::{
    ANY_PORT,
    canary::{CANARY, forms_in, look_through_files},
    place::Place,
    until,
};

/// Answers with what it was asked.
struct Echo {
    address: String,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl Echo {
    /// `answer`: from what was asked, on one line.
    async fn start(answer: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let echo = Self { address: listener.local_addr().unwrap().to_string(), asked: Arc::default() };
        let asked = echo.asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(repeat(stream, answer, asked.clone()));
            }
        });
        echo
    }

    async fn http() -> Self {
        Self::start(|asked| {
            format!("HTTP/1.1 400 {asked}\r\nretry-after: {asked}\r\nx-asked: {asked}\r\ncontent-length: 9999\r\n\r\n{asked}")
        })
        .await
    }

    /// As Redis does where it does not know `AUTH`.
    async fn store() -> Self {
        Self::start(|asked| format!("-ERR unknown command, with args beginning with: {asked}\r\n")).await
    }

    async fn was_told(&self) {
        until(async || !forms_in(&self.asked.lock().unwrap()).is_empty()).await;
    }
}

async fn repeat(mut stream: TcpStream, answer: fn(&str) -> String, asked: Arc<Mutex<Vec<u8>>>) {
    let mut part = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut part).await {
        asked.lock().unwrap().extend_from_slice(&part[..length]);
        let printable = |byte: &u8| if (b' '..0x7f).contains(byte) { char::from(*byte) } else { ' ' };
        let line: String = part[..length].iter().map(printable).collect();
        if stream.write_all(answer(&line).as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_to_those_that_are_called_is_nowhere_else_even_if_they_repeat_it() {
    let password = CANARY.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let directory = Place::new();
    let path = |name: &str| directory.path().join(name);
    let output = path("output");
    fs::create_dir(&output).unwrap();
    for (name, has_issuer) in [("callers", true), ("everyone", false)] {
        let (collector, proxy, issuer) = (Echo::http().await, Echo::http().await, Echo::http().await);
        let store = Echo::store().await;
        let endpoint = format!("http://{}", collector.address);
        let config = write_files(
            directory.path(),
            "https://127.0.0.1:1",
            &endpoint,
            Some(&output.join(format!("{name}.audit"))),
        );
        fs::write(path("salt"), CANARY).unwrap();
        let store_url = if has_issuer {
            format!("redis://user:{password}@{}", store.address)
        } else {
            format!("redis+sentinel://{}/main?sentinel=user:{password}", store.address)
        };
        for (file, content) in [("url", &*store_url), ("token", CANARY)] {
            fs::write(path(file), content).unwrap();
            let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(path(file), only_ours).unwrap();
        }
        let mut settings = fs::read_to_string(&config).unwrap();
        writeln!(settings, "[store]\nurl_file = '{}'", path("url").display()).unwrap();
        if has_issuer {
            let (address, token) = (&issuer.address, path("token"));
            writeln!(
                settings,
                "[[identity.issuers]]\nname = 'a'\nissuer = 'https://a'\naudience = 'b'\n\
                 jwks_url = 'http://{address}/keys'\njwks_token_file = '{}'",
                token.display()
            )
            .unwrap();
        }
        fs::write(&config, settings).unwrap();
        let (proxy_url, headers) =
            (format!("http://user:{password}@{}", proxy.address), format!("x-key={CANARY}"));
        let environment = [
            ("INKPASS_SERVER__LISTEN", "127.0.0.1:0"),
            ("INKPASS_ADMIN__LISTEN", "127.0.0.1:0"),
            ("INKPASS_WHITEBOARD__PROXY", &*proxy_url),
            ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
        ];
        let config = ["--insecure-allow-all", "--config", config.to_str().unwrap()];
        check(&output.join(format!("{name}.check")), &config, &environment);
        let server =
            Program::start_with(&output, name, &[&["serve"], &config[..]].concat(), &environment).await;

        // It is no key file, which no search at the end takes for a leak.
        fs::remove_file(path("url")).unwrap();

        let client = Client::connect(&format!("http://{}", server.part("grpc"))).await.unwrap();
        let methods = methods();
        let calls = methods.iter().map(|method| call(&client, method, Filling::Good("r1")));
        fs::write(output.join(format!("{name}.told")), join_all(calls).await.concat()).unwrap();
        collector.was_told().await;
        store.was_told().await;
        if has_issuer {
            issuer.was_told().await;
        } else {
            proxy.was_told().await;
        }
        let log = || fs::read_to_string(output.join(format!("{name}.stderr"))).unwrap();
        until(async || log().contains("the OTLP collector does not take what is exported")).await;
        until(async || log().contains("the store cannot be reached")).await;
        let failure = if has_issuer { "keys cannot be fetched" } else { "UPSTREAM_UNREACHABLE" };
        until(async || log().contains(failure)).await;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        for page in ["metrics", "readyz"] {
            let answer = http.get(format!("http://{}/{page}", server.part("admin"))).send().await.unwrap();
            fs::write(output.join(format!("{name}.{page}")), answer.bytes().await.unwrap()).unwrap();
        }
        drop(client);
        server.end();
    }
    look_through_files(&output);
}
