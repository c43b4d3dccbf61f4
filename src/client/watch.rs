//! A watch that resumes broken streams.

use std::time::Duration;

use tonic::{Code, Status, Streaming};

use super::{credentials::Connection, refusal::Refusal};
use crate::proto::{
    Conversion, WatchConversionRequest, WatchConversionResponse,
    conversion_service_client::ConversionServiceClient,
};

/// How many resumptions in a row may bring nothing before a watch gives up.
const RESUMPTIONS: u32 = 10;

/// A conversion that is watched to its end, over as many streams as it takes: a server ends each
/// after some minutes, and a server that stops ends all of its own.
pub struct Watch {
    client: ConversionServiceClient<Connection>,
    request: WatchConversionRequest,
    stream: Option<Streaming<WatchConversionResponse>>,
    last: Option<Conversion>,
    resumed: u32,
}

impl Watch {
    pub(super) const fn new(
        client: ConversionServiceClient<Connection>,
        request: WatchConversionRequest,
    ) -> Self {
        Self { client, request, stream: None, last: None, resumed: 0 }
    }

    /// The current conversion first, then each change; `None` after the last.
    ///
    /// # Errors
    /// The server's refusal; UNAVAILABLE only after several resumptions.
    pub async fn next(&mut self) -> Result<Option<Conversion>, Status> {
        loop {
            match self.receive().await {
                Ok(None) => return Ok(None),
                Ok(Some(answer)) => {
                    self.resumed = 0;
                    let conversion = answer.conversion.unwrap_or_default();
                    // A resumed stream begins with the current state, which may be old.
                    if self.last.as_ref() != Some(&conversion) {
                        self.last = Some(conversion.clone());
                        return Ok(Some(conversion));
                    }
                }
                Err(status) => {
                    self.stream = None;
                    let refusal = Refusal::from(status.clone());
                    if self.resumed >= RESUMPTIONS || !self.may_resume(&refusal) {
                        return Err(status);
                    }
                    self.resumed += 1;
                    tokio::time::sleep(refusal.retry_after.unwrap_or(Duration::from_secs(1))).await;
                }
            }
        }
    }

    /// After UNAVAILABLE or a broken connection; once a state was received, also after transient errors of
    /// the upstream.
    fn may_resume(&self, refusal: &Refusal) -> bool {
        let broke = refusal.reason.is_empty()
            && matches!(refusal.code, Code::Unknown | Code::Internal | Code::Cancelled);
        let is_transient = refusal.retry_after.is_some() || refusal.reason == "UPSTREAM_UNEXPECTED_ANSWER";
        refusal.code == Code::Unavailable || broke || (self.last.is_some() && is_transient)
    }

    async fn receive(&mut self) -> Result<Option<WatchConversionResponse>, Status> {
        if let Some(stream) = &mut self.stream {
            return stream.message().await;
        }
        let stream = self.client.watch_conversion(self.request.clone()).await?.into_inner();
        self.stream.insert(stream).message().await
    }
}
