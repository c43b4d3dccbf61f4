//! The admin listener: plain HTTP, for probes. `/livez` says that the process answers; `/readyz`
//! says that it takes calls. Neither asks the upstream: tokens are minted without it.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Failure, health::Health};

pub(super) async fn serve(
    listener: TcpListener,
    health: Health,
    end: CancellationToken,
) -> Result<(), Failure> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(health);
    axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await?;
    Ok(())
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not serving\n")
    }
}
