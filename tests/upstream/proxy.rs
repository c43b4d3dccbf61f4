//! A proxy that makes tunnels.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use inkpass::outgoing::Route;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::peer::read_request;
use crate::helpers::{ANY_PORT, canary::CANARY};

/// It keeps the heads of the requests for tunnels.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = proxy.asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = asked.clone();
                tokio::spawn(async move {
                    let head = read_request(&mut stream).await.unwrap();
                    let target = head.split(' ').nth(1).unwrap().to_owned();
                    asked.lock().unwrap().push(head);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    let mut there = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut there).await;
                });
            }
        });
        proxy
    }

    pub(crate) async fn opening() -> Self {
        Self::start("HTTP/1.1 200 OK\r\n\r\n").await
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        let target = |head: &String| head.lines().next().unwrap().to_owned();
        self.asked.lock().unwrap().iter().map(target).collect()
    }

    pub(crate) fn with_password(&self) -> Route {
        // In a URL what is reserved is escaped.
        let password: String = CANARY.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        Route::Proxy(format!("http://inkpass:{password}@{}", self.address).parse().unwrap())
    }
}
