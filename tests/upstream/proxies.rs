//! Proxies by the settings, and what never goes through one. Those by the variables: `command_line::way_out`.

use std::net::SocketAddr;

use inkpass::whiteboard::Settings;
use tonic::Code;

use super::{
    create, https,
    peer::{Answer, Peer},
    proxy::Proxy,
    roots, tls, world,
};
use crate::helpers::{assert_refused, ca::Ca, canary::look_through, log::Log};

#[tokio::test]
async fn calls_go_through_the_proxy_of_the_settings_and_its_password_goes_nowhere_else() {
    let (log, ca) = (Log::start(), Ca::new("one"));
    let upstream = tls::listen(&ca, tls::loopback(), b"h2", |_| async {}).await;
    let plain = tls::listen(&ca, tls::loopback(), b"http/1.1", tls::answer_a_room).await;
    let through = async |proxy: &Proxy, upstream: SocketAddr| {
        let (route, roots) = (proxy.with_password(), Some(roots(&ca)));
        look_through("the settings", format!("{route:?}").as_bytes());
        world(upstream, move |settings| Settings { base_url: https(upstream), route, roots, ..settings })
            .await
    };
    let proxy = Proxy::opening().await;
    create(&through(&proxy, plain).await).await.unwrap();
    assert_eq!(proxy.targets(), [format!("CONNECT {plain} HTTP/1.1")]);
    let authorization = proxy.asked.lock().unwrap()[0].to_lowercase();
    assert!(authorization.contains("proxy-authorization: basic "), "it has its password");

    let refusing = Proxy::start("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let refused = create(&through(&refusing, upstream).await).await.unwrap_err();
    assert_refused(&refused, Code::Unavailable, "UPSTREAM_UNREACHABLE", &[]);
    assert!(log.text().contains("could not connect"), "{}", log.text());
}

#[tokio::test]
async fn plaintext_never_goes_through_a_proxy() {
    let (proxy, peer) = (Proxy::opening().await, Peer::start(Answer::Close).await);
    let route = proxy.with_password();
    create(&world(peer.address, move |settings| Settings { route, ..settings }).await).await.unwrap_err();
    assert_eq!((peer.requests(), proxy.targets().len()), (1, 0));
}
