//! A watch that resumes by itself.

use std::time::Duration;

use tonic::{Code, Status, Streaming, transport::Channel};

use super::Refusal;
use crate::proto::{
    Conversion, WatchConversionRequest, WatchConversionResponse,
    conversion_service_client::ConversionServiceClient,
};

/// How often a watch is resumed in a row without hearing anything, before it gives up.
const RESUMPTIONS: u32 = 10;

/// A conversion that is followed to its end, over as many streams as it takes: a server ends each
/// after some minutes, and a server that stops ends all of its own.
pub struct Watch {
    client: ConversionServiceClient<Channel>,
    request: WatchConversionRequest,
    stream: Option<Streaming<WatchConversionResponse>>,
    last: Option<Conversion>,
    resumed: u32,
}

impl Watch {
    pub(super) const fn new(
        client: ConversionServiceClient<Channel>,
        request: WatchConversionRequest,
    ) -> Self {
        Self { client, request, stream: None, last: None, resumed: 0 }
    }

    /// The conversion as it is, at first; then each change; `None` after the last.
    ///
    /// # Errors
    /// What the server refuses with; one that is unavailable only after several tries.
    pub async fn next(&mut self) -> Result<Option<Conversion>, Status> {
        loop {
            match self.receive().await {
                Ok(None) => return Ok(None),
                Ok(Some(answer)) => {
                    self.resumed = 0;
                    let conversion = answer.conversion.unwrap_or_default();
                    // A stream that was resumed begins with what is known already.
                    if self.last.as_ref() != Some(&conversion) {
                        self.last = Some(conversion.clone());
                        return Ok(Some(conversion));
                    }
                }
                Err(status) if status.code() == Code::Unavailable && self.resumed < RESUMPTIONS => {
                    self.stream = None;
                    self.resumed += 1;
                    let delay = Refusal::from(status).retry_after.unwrap_or(Duration::from_secs(1));
                    tokio::time::sleep(delay).await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<WatchConversionResponse>, Status> {
        if let Some(stream) = &mut self.stream {
            return stream.message().await;
        }
        let stream = self.client.watch_conversion(self.request.clone()).await?.into_inner();
        self.stream.insert(stream).message().await
    }
}
