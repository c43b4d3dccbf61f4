//! The order of the layers around every call, by what a caller sees of it.

use std::{fs, sync::Arc};

use inkpass::caller::{Callers, Settings};
use reqwest::{Client, Method, Response};

use crate::helpers::{Setup, World, place::Place};

const ISSUE_TOKEN: &str = "inkpass.v1.TokenService/IssueToken";

/// A service that authenticates its callers by API key, and a call of nobody.
struct Guarded {
    world: World,
    _directory: Place,
}

impl Guarded {
    async fn start() -> Self {
        let directory = Place::new();
        let api_keys_file = directory.path().join("callers.toml");
        let digest = "0".repeat(64);
        let keys = format!("[[api_keys]]\nprincipal = 'key:nobody'\nsha256 = '{digest}'\n");
        fs::write(&api_keys_file, keys).unwrap();
        let settings = Settings { api_keys_file: Some(api_keys_file), ..Settings::default() };
        let setup = Setup {
            listener: Some(Box::new(move |clock, metrics| {
                let identity = settings.load().unwrap();
                (None, Some(Arc::new(Callers::new(identity, clock.clone(), metrics))))
            })),
            ..Setup::default()
        };
        Self { world: setup.start().await, _directory: directory }
    }

    /// An empty message: invalid, and without a credential.
    async fn call(&self, method: Method, headers: &[(&str, &str)]) -> Response {
        let http = Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
        let mut request = http.request(method, format!("http://{}/{ISSUE_TOKEN}", self.world.grpc));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(vec![0; 5]).send().await.unwrap()
    }

    /// How many calls were counted with this code.
    async fn counted(&self, code: &str) -> bool {
        let labels = format!("rpc_method=\"{ISSUE_TOKEN}\",rpc_status_code=\"{code}\"");
        self.world.metrics().await.lines().any(|line| line.contains(&labels) && line.ends_with(" 1"))
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn the_request_id_is_outside_of_what_refuses_other_protocols_and_that_is_outside_of_observation() {
    let guarded = Guarded::start().await;
    for (method, headers, status) in [(Method::GET, vec![GRPC], 405), (Method::POST, vec![], 415)] {
        let answer = guarded.call(method, &headers).await;
        assert_eq!(answer.status(), status);
        assert!(answer.headers().contains_key("x-request-id"));
    }
    assert!(
        !guarded.world.metrics().await.contains(&format!("rpc_method=\"{ISSUE_TOKEN}\",rpc_status_code"))
    );
}

#[tokio::test]
async fn observation_is_outside_of_the_deadline_and_that_is_outside_of_authentication() {
    let guarded = Guarded::start().await;
    let answer = guarded.call(Method::POST, &[GRPC, ("grpc-timeout", "0n")]).await;
    assert_eq!(answer.headers()["grpc-status"], "4", "not 16, for want of a credential");
    assert!(guarded.counted("DEADLINE_EXCEEDED").await);
}

#[tokio::test]
async fn authentication_is_outside_of_the_handler_and_inside_of_observation() {
    let guarded = Guarded::start().await;
    let answer = guarded.call(Method::POST, &[GRPC]).await;
    assert_eq!(answer.headers()["grpc-status"], "16", "not 3, for what the request lacks");
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(guarded.counted("UNAUTHENTICATED").await);
}
