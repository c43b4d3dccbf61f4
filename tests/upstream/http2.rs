//! What an upstream that speaks HTTP/2 may do with a POST.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use h2::{Reason, server};
use http::Response;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::Code;

use super::{ROOM, create, create_within, read, tls, tls_world};
use crate::helpers::{assert_refused, ca::Ca, until};

/// What becomes of the first POST; all later ones are answered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Refused,
    Cancelled,
    /// The connection says that it ends, with this POST as the last that it looks at, and ends.
    LastOfItsConnection,
    /// Its answer's headers are longer than any client takes.
    LongHeaders,
    /// The connection falls silent for good, and is not closed.
    Swallowed,
}

async fn listen(ca: &Ca, fate: Fate) -> (SocketAddr, Arc<AtomicUsize>) {
    let posts = Arc::new(AtomicUsize::new(0));
    let count = posts.clone();
    let serve = move |stream| serve(stream, fate, count.clone());
    (tls::listen(ca, tls::loopback(), b"h2", serve).await, posts)
}

async fn serve(stream: TlsStream<TcpStream>, fate: Fate, posts: Arc<AtomicUsize>) {
    let mut connection = server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        let mut body = request.into_body();
        // Read whole, so that it might have acted.
        let read = async { while body.data().await.is_some() {} };
        tokio::select! {
            () = read => {}
            _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return,
        }
        let is_first = posts.fetch_add(1, SeqCst) == 0;
        match fate {
            Fate::Refused if is_first => answer.send_reset(Reason::REFUSED_STREAM),
            Fate::Cancelled if is_first => answer.send_reset(Reason::CANCEL),
            Fate::LastOfItsConnection if is_first => {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                let _ = std::future::poll_fn(|context| connection.poll_closed(context)).await;
                return;
            }
            Fate::LongHeaders => {
                let long = Response::builder().status(201).header("x-long", "x".repeat(128 * 1024));
                answer.send_response(long.body(()).unwrap(), true).unwrap();
            }
            Fate::Swallowed if is_first => std::future::pending().await,
            _ => {
                let answer = answer.send_response(Response::builder().status(201).body(()).unwrap(), false);
                answer.unwrap().send_data(Bytes::from(ROOM), true).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_post_is_sent_again_only_if_the_upstream_says_that_it_has_not_looked_at_it() {
    let ca = Ca::new("one");
    let (refusing, posts) = listen(&ca, Fate::Refused).await;
    create(&tls_world(refusing, &ca).await).await.unwrap();
    assert_eq!(posts.load(SeqCst), 2);

    for fate in [Fate::Cancelled, Fate::LastOfItsConnection] {
        let (upstream, posts) = listen(&ca, fate).await;
        let refused = create(&tls_world(upstream, &ca).await).await.unwrap_err();
        assert_refused(&refused, Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
        assert_eq!(posts.load(SeqCst), 1, "{fate:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_protocol_is_no_answer_to_either() {
    let ca = Ca::new("one");
    let (upstream, requests) = listen(&ca, Fate::LongHeaders).await;
    let world = tls_world(upstream, &ca).await;
    assert_refused(&create(&world).await.unwrap_err(), Code::Aborted, "UPSTREAM_OUTCOME_UNKNOWN", &[]);
    assert_refused(&read(&world).await.unwrap_err(), Code::Internal, "UPSTREAM_UNEXPECTED_ANSWER", &[]);
    assert_eq!(requests.load(SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_falls_silent_takes_no_later_call_with_it() {
    let ca = Ca::new("one");
    let (upstream, posts) = listen(&ca, Fate::Swallowed).await;
    let world = tls_world(upstream, &ca).await;
    create_within(&world, 300).await.unwrap_err();
    assert_eq!(posts.load(SeqCst), 1);
    // By calls too short for the breaker to count, until a new connection takes one.
    until(async || create_within(&world, 400).await.is_ok()).await;
}
