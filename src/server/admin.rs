//! The admin listener: plain HTTP/1, for probes and Prometheus. `/livez`: the process answers. `/readyz`: it
//! takes calls. Neither asks the upstream, because tokens are minted without it.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;

use super::{places::Place, readiness::Readiness};
use crate::telemetry::{Cut, Failure, Metrics};

/// How long a client has for a request's headers.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a connection may last.
const AGE: Duration = Duration::from_mins(1);

/// The longest headers of a request, in bytes.
const LONGEST_HEADERS: usize = 16 * 1024;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    let metrics = move || async move { ([(CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render()) };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}

/// Keeps a connection until it has ended. It holds its place for so long.
pub(super) async fn keep(router: Router, stream: TcpStream, place: Place, end: CancellationToken) {
    let connection = place.connection.clone();
    let answer = service_fn(|request: Request<Incoming>| {
        connection.begin_call();
        let (mut router, connection) = (router.clone(), connection.clone());
        async move {
            let answer = router.call(request).await;
            connection.end_call();
            answer
        }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SILENCE)
            .max_buf_size(LONGEST_HEADERS)
            .serve_connection(TokioIo::new(stream), answer)
    );
    let cause = tokio::select! {
        ended = http.as_mut() => {
            if ended.is_err() {
                place.metrics().failed(Failure::Http);
            }
            return;
        }
        () = connection.must_leave() => Some(Cut::MadeRoom),
        () = sleep(AGE) => None,
        () = end.cancelled() => Some(Cut::Stop),
    };
    if let Some(cause) = cause {
        return place.metrics().cut(cause);
    }
    // An answer that is under way is still given.
    http.as_mut().graceful_shutdown();
    if timeout(SILENCE, http).await.is_err() {
        place.metrics().cut(Cut::Age);
    }
}

/// A line, and one more for each cause why this replica can only refuse.
async fn readyz(State(readiness): State<Arc<Readiness>>) -> (StatusCode, String) {
    let (status, mut text) = if readiness.health.is_ready() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not serving\n".to_owned())
    };
    for cause in readiness.causes() {
        text.extend([cause.as_str(), ": ", cause.describe(), "\n"]);
    }
    (status, text)
}
