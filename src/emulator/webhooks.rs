//! Sends webhooks when conversions end.
//!
//! The one part of the emulator that needs time to pass by itself. It polls the state only
//! while a task with a webhook is under way.

use std::time::Duration;

use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{
    conversions::Notice,
    settings::Settings,
    shared::Shared,
    webhook_hosts::{NotPermitted, WebhookHosts},
};

/// How often the state is polled, and how long a retry waits.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long a receiver may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends what is due until `stopped` ends, and owns all that it has started.
pub(super) async fn send_due(shared: Shared, mut stopped: watch::Receiver<()>) {
    tokio::select! {
        () = shared.webhook_expected() => {}
        _ = stopped.changed() => return,
    }
    let sender = match Sender::new(&shared.settings()) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::warn!(%error, "webhooks are not sent: no HTTP client");
            return;
        }
    };
    let mut deliveries = JoinSet::new();
    loop {
        let (due, more) = shared.take_notices();
        for notice in due {
            deliveries.spawn(sender.clone().deliver(notice));
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

#[derive(Clone)]
struct Sender {
    client: reqwest::Client,
    hosts: WebhookHosts,
    copies: u8,
}

impl Sender {
    fn new(settings: &Settings) -> reqwest::Result<Self> {
        let hosts = WebhookHosts::new(&settings.webhook_hosts);
        // A proxy would resolve names by itself, and a redirect would name another host.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(hosts.clone())
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { client, hosts, copies: settings.webhook_copies })
    }

    /// Sends a notice until all its copies are taken. One that is not taken is tried again as often as the order says,
    /// over all copies.
    async fn deliver(self, notice: Notice) {
        let (mut copies, mut retries) = (self.copies, notice.webhook.retries);
        let host = notice.webhook.endpoint.host_str();
        while copies > 0 {
            match self.post(&notice).await {
                Ok(true) => copies -= 1,
                Ok(false) if retries > 0 => {
                    retries -= 1;
                    sleep(INTERVAL).await;
                }
                Ok(false) => return tracing::warn!(host, "a webhook was not delivered"),
                Err(NotPermitted) => {
                    return tracing::warn!(
                        host,
                        "a webhook is not sent: --webhook-hosts does not name its host"
                    );
                }
            }
        }
    }

    /// Whether the receiver took it, with a status of success.
    async fn post(&self, notice: &Notice) -> Result<bool, NotPermitted> {
        let endpoint = &notice.webhook.endpoint;
        self.hosts.check(endpoint)?;
        let request = self
            .client
            .post(endpoint.clone())
            .header("content-type", "application/json")
            .body(notice.body.clone());
        match request.send().await {
            Ok(answer) => Ok(answer.status().is_success()),
            Err(error) if NotPermitted::caused(&error) => Err(NotPermitted),
            Err(_) => Ok(false),
        }
    }
}
