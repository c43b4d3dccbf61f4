//! Sends webhooks when conversions end.
//!
//! The one part of the emulator that needs time to pass by itself. It polls the state only
//! while a task with a webhook is under way.

use std::time::Duration;

use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{conversions::Notice, shared::Shared};

/// How often the state is polled.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long a receiver may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends what is due until `stopped` ends, and owns all that it has started.
pub(super) async fn send_due(shared: Shared, mut stopped: watch::Receiver<()>) {
    tokio::select! {
        () = shared.webhook_expected() => {}
        _ = stopped.changed() => return,
    }
    // Receivers are mostly on loopback: no proxy. Only the named host gets a notice: no redirect.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(%error, "webhooks are not sent: no HTTP client");
            return;
        }
    };
    let mut deliveries = JoinSet::new();
    loop {
        let (due, more) = shared.take_notices();
        for notice in due {
            deliveries.spawn(deliver(client.clone(), notice));
        }
        while deliveries.try_join_next().is_some() {}
        let wake = async { if more { sleep(INTERVAL).await } else { shared.webhook_expected().await } };
        tokio::select! {
            () = wake => {}
            _ = stopped.changed() => break,
        }
    }
    deliveries.shutdown().await;
}

/// Sends a notice until it is taken, `retries` times more at most. A notice of a success is then
/// sent once more: the vendor documents that it may arrive several times, and a receiver must handle
/// that.
async fn deliver(client: reqwest::Client, notice: Notice) {
    for _ in 0..=notice.webhook.retries {
        if post(&client, &notice).await {
            if notice.succeeded {
                post(&client, &notice).await;
            }
            return;
        }
        sleep(INTERVAL).await;
    }
    tracing::warn!("a webhook was not delivered");
}

async fn post(client: &reqwest::Client, notice: &Notice) -> bool {
    let request = client
        .post(&notice.webhook.endpoint)
        .header("content-type", "application/json")
        .body(notice.body.clone());
    request.send().await.is_ok_and(|answer| answer.status().is_success())
}
