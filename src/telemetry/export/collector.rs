//! Sends to a collector, by either protocol, through one HTTP client.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes};
use http::{Request, Response, Uri, header::CONTENT_TYPE, uri::PathAndQuery};
use http_body::Body as _;
use opentelemetry::time;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    body::Body,
    client::Grpc,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
    codegen::Service,
    metadata::MetadataMap,
};
use tonic_prost::ProstDecoder;
use tonic_types::StatusExt;

use super::{signal::OtlpProtocol, target::Target};
use crate::{
    entropy::{SystemEntropy, lengthened},
    error_chain::Causes,
    own_thread::OwnThread,
    retry_after::retry_after,
    telemetry::Signal,
};

/// How long it waits before the first repetition; before each other one twice as long as before, and up to a fifth longer,
/// or as long as the collector asks if that is longer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A collector, for one signal.
#[derive(Debug)]
pub(super) struct Collector {
    target: Target,
    signal: Signal,
    /// From then on nothing is repeated.
    stopping: CancellationToken,
    thread: OwnThread,
}

/// Why something was not accepted.
struct Failed {
    cause: String,
    /// Whether it may be accepted a moment later.
    is_passing: bool,
    /// How long the collector asks to be left alone.
    asked: Option<Duration>,
}

/// How many spans or points of metrics a collector refused of what it accepted, and why.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) count: u64,
}

impl Collector {
    /// # Errors
    /// Its thread cannot start.
    pub(super) fn new(target: Target, signal: Signal, stopping: CancellationToken) -> io::Result<Self> {
        Ok(Self { target, signal, stopping, thread: OwnThread::start("otlp")? })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    pub(super) async fn stops(&self) {
        self.stopping.cancelled().await;
    }

    /// Sends an encoded request, again and again where that may help, until the export's time is over.
    ///
    /// # Errors
    /// The cause, in words for the log; nothing that the collector wrote.
    pub(super) async fn send(&self, request: Bytes) -> Result<Refused, String> {
        let deadline = Instant::now() + self.target.timeout;
        let mut cause = format!("no answer in {:?}", self.target.timeout);
        let mut backoff = FIRST_PAUSE;
        loop {
            let Ok(answer) = timeout_at(deadline, self.thread.connect(self.attempt(request.clone()))).await
            else {
                return Err(cause);
            };
            let pause = match answer {
                Ok(refused) => return Ok(refused),
                Err(failed) if !failed.is_passing => return Err(failed.cause),
                Err(failed) => {
                    cause = failed.cause;
                    // Never sooner than it asks for.
                    failed.asked.unwrap_or_default().max(lengthened(backoff, &SystemEntropy))
                }
            };
            // It may ask for longer than a moment can be far away.
            if Instant::now().checked_add(pause).is_none_or(|next| next >= deadline) {
                return Err(cause);
            }
            tokio::select! {
                () = sleep(pause) => backoff *= 2,
                () = self.stopping.cancelled() => return Err(cause),
            }
        }
    }

    async fn attempt(&self, request: Bytes) -> Result<Refused, Failed> {
        match self.target.protocol {
            OtlpProtocol::Grpc => self.attempt_grpc(request).await,
            OtlpProtocol::Http => self.attempt_http(request).await,
        }
    }

    async fn attempt_http(&self, body: Bytes) -> Result<Refused, Failed> {
        let Target { client, url, headers, .. } = &self.target;
        let request = client.post(url.clone()).headers(headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            const PASSING: [StatusCode; 4] = [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ];
            let cause = format!("the collector answers {status}");
            let asked = retry_after(response.headers(), time::now());
            return Err(Failed { cause, is_passing: PASSING.contains(&status), asked });
        }
        if is_page(&response) {
            let cause = "what answers is no collector: it sends a page of HTML".to_owned();
            return Err(Failed { cause, is_passing: false, asked: None });
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if answer.len() + chunk.len() > LONGEST_ANSWER {
                return Ok(Refused::default());
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(ExportTraceServiceResponse::decode(&*answer).map(|answer| refused(&answer)).unwrap_or_default())
    }

    async fn attempt_grpc(&self, message: Bytes) -> Result<Refused, Failed> {
        let origin = Uri::try_from(self.target.url.as_str()).unwrap_or_default();
        let mut grpc = Grpc::with_origin(Http(self.target.client.clone()), origin)
            .max_decoding_message_size(LONGEST_ANSWER);
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(self.target.headers.clone());
        let path = PathAndQuery::from_static(self.signal.grpc_path());
        match grpc.unary(request, path, EncodedCodec).await {
            Ok(answer) => Ok(refused(answer.get_ref())),
            Err(status) => Err(failed(&status)),
        }
    }
}

/// The type of a page of HTML, in any case.
const PAGE: &[u8] = b"text/html";

/// Of a proxy, or of another service: a collector has none for what it took.
fn is_page(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..PAGE.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(PAGE))
}

/// The answers of both signals have one form.
fn refused(answer: &ExportTraceServiceResponse) -> Refused {
    let count = answer.partial_success.as_ref().map_or(0, |partial| partial.rejected_spans);
    Refused { count: count.try_into().unwrap_or_default() }
}

fn failed(status: &Status) -> Failed {
    if let Some(error) = std::error::Error::source(status) {
        return Failed { cause: format!("{error}{}", Causes(error)), is_passing: true, asked: None };
    }
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let is_passing = match status.code() {
        // Only then can it recover: OTLP's specification, "OTLP/gRPC throttling".
        Code::ResourceExhausted => asked.is_some(),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        _ => false,
    };
    Failed { cause: format!("the collector answers {:?}", status.code()), is_passing, asked }
}

fn broken(error: reqwest::Error) -> Failed {
    let error = error.without_url();
    Failed { cause: format!("{error}{}", Causes(&error)), is_passing: true, asked: None }
}

/// The HTTP client as what tonic calls through.
struct Http(reqwest::Client);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Request<Body>> for Http {
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let request = Request::from_parts(parts, whole(body).await).try_into()?;
            client.execute(request).await.map(Into::into).map_err(reqwest::Error::without_url)
        })
    }
}

/// A request's body, which never fails.
async fn whole(mut body: Body) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        whole.extend(frame.into_data().unwrap_or_default());
    }
    whole
}

/// Sends what is encoded already.
struct EncodedCodec;

impl Codec for EncodedCodec {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<ExportTraceServiceResponse>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for EncodedCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}
