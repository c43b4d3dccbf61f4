//! The gRPC listener, spoken to byte by byte.

use reqwest::{Client, Method, Response};

use crate::helpers::World;

/// A call without tonic's client; the body is one empty message unless it is given.
async fn call(world: &World, method: Method, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let http = Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
    let mut request =
        http.request(method, format!("http://{}/inkpass.v1.TokenService/IssueToken", world.grpc)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn message(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0][..], &length, payload].concat()
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_before_it_is_read() {
    let world = World::start().await;
    for (method, content_type, status) in [
        (Method::POST, "application/grpc", 200),
        (Method::POST, "application/grpc+proto", 200),
        (Method::POST, "application/grpc;charset=utf-8", 200),
        (Method::POST, "application/grpc-web", 415),
        (Method::POST, "application/json", 415),
        (Method::POST, "", 415),
        (Method::GET, "application/grpc", 405),
        (Method::PUT, "text/html", 405),
    ] {
        let answer = call(&world, method, &[("content-type", content_type)], message(&[])).await;
        assert_eq!(answer.status(), status, "{content_type}");
        assert!(answer.headers().contains_key("x-request-id"), "every answer can be named");
    }
}

#[tokio::test]
async fn a_message_that_is_broken_compressed_or_too_large_ends_in_a_status() {
    let world = World::start().await;
    let compressed = [&[1][..], &[0, 0, 0, 0]].concat();
    for (headers, body, status) in [
        (vec![GRPC], message(&[0xff, 0xff, 0xff]), "13"),
        (vec![GRPC], message(&vec![0; 512 * 1024 + 1]), "11"),
        (vec![GRPC], vec![0, 0xff, 0xff, 0xff, 0xff], "11"),
        (vec![GRPC], compressed.clone(), "13"),
        (vec![GRPC, ("grpc-encoding", "gzip")], compressed, "12"),
    ] {
        let answer = call(&world, Method::POST, &headers, body).await;
        assert_eq!(answer.headers()["grpc-status"], status);
    }
}

#[tokio::test]
async fn a_deadline_of_nothing_is_over_at_once_and_a_broken_one_is_ignored() {
    let world = World::start().await;
    for (timeout, status) in
        [("0n", "4"), ("0H", "4"), ("99999999H", "3"), ("x", "3"), ("1", "3"), ("-1S", "3")]
    {
        let answer = call(&world, Method::POST, &[GRPC, ("grpc-timeout", timeout)], message(&[])).await;
        assert_eq!(answer.headers()["grpc-status"], status, "{timeout}");
    }
}
