//! A real OTLP receiver: gRPC and HTTP at one port, with or without TLS.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    routing::post,
    serve::Listener,
};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tonic::{Code, Request, Response, Status, async_trait, service::Routes};
use tonic_types::{RetryInfo, pb};

use crate::helpers::{ANY_PORT, canary};

type HttpAnswer = (StatusCode, HeaderMap, Vec<u8>);

/// Keeps what it is sent.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Inner>);

#[derive(Default)]
struct Inner {
    traces: Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>,
    metrics: Mutex<Vec<(HeaderMap, ExportMetricsServiceRequest)>>,
    refuses: AtomicBool,
    /// How many requests it refuses for a moment.
    busy: AtomicUsize,
    /// The seconds that it then asks to be left alone; 0: it asks nothing.
    pause: AtomicU64,
    /// How many spans, or points of metrics, it refuses of each request.
    rejects: AtomicI64,
}

impl Receiver {
    /// Starts, and gives its URL.
    pub(crate) async fn start(&self) -> String {
        self.serve(TcpListener::bind(ANY_PORT).await.unwrap(), None)
    }

    /// The same with TLS: for `localhost`.
    pub(super) async fn start_with(&self, tls: ServerConfig) -> String {
        let url = self.serve(TcpListener::bind(ANY_PORT).await.unwrap(), Some(tls));
        url.replace("http://127.0.0.1", "https://localhost")
    }

    pub(super) fn serve(&self, listener: TcpListener, tls: Option<ServerConfig>) -> String {
        let address = listener.local_addr().unwrap();
        let grpc = Routes::new(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()));
        let (traces, metrics) = (self.clone(), self.clone());
        let http = Router::new()
            .route("/v1/traces", post(async move |headers, body| traces.keep_http(headers, &body, true)))
            .route("/v1/metrics", post(async move |headers, body| metrics.keep_http(headers, &body, false)));
        let router = grpc.prepare().into_axum_router().merge(http);
        let door = Door(listener, tls.map(|tls| TlsAcceptor::from(Arc::new(tls))));
        tokio::spawn(async move { axum::serve(door, router).await });
        format!("http://{address}")
    }

    /// From now on it refuses everything, or nothing.
    pub(super) fn refuse(&self, refuses: bool) {
        self.0.refuses.store(refuses, Ordering::SeqCst);
    }

    /// It refuses the next so many requests for a moment, and asks to be left alone for `pause` seconds.
    pub(super) fn be_busy(&self, requests: usize, pause: u64) {
        self.0.pause.store(pause, Ordering::SeqCst);
        self.0.busy.store(requests, Ordering::SeqCst);
    }

    /// From now on it refuses so many spans of each request.
    pub(super) fn reject(&self, spans: i64) {
        self.0.rejects.store(spans, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), Status> {
        let is_busy =
            self.0.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |busy| busy.checked_sub(1));
        if is_busy.is_ok() {
            return Err(match self.0.pause.load(Ordering::SeqCst) {
                0 => Status::unavailable("busy"),
                pause => Status::with_details(Code::ResourceExhausted, "busy", asks_for(pause)),
            });
        }
        let refuses = self.0.refuses.load(Ordering::SeqCst);
        if refuses { Err(Status::permission_denied("no")) } else { Ok(()) }
    }

    fn traces_answer(&self) -> ExportTraceServiceResponse {
        let rejected_spans = self.0.rejects.load(Ordering::SeqCst);
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: "too many".to_owned() };
        ExportTraceServiceResponse { partial_success: (rejected_spans > 0).then_some(partial) }
    }

    fn metrics_answer(&self) -> ExportMetricsServiceResponse {
        let rejected_data_points = self.0.rejects.load(Ordering::SeqCst);
        let partial =
            ExportMetricsPartialSuccess { rejected_data_points, error_message: "too many".to_owned() };
        ExportMetricsServiceResponse { partial_success: (rejected_data_points > 0).then_some(partial) }
    }

    fn keep_http(&self, headers: HeaderMap, body: &Bytes, is_trace: bool) -> HttpAnswer {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        match self.check() {
            Err(status) if status.code() == Code::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new(), Vec::new())
            }
            Err(status) if status.code() == Code::ResourceExhausted => {
                let asked = (RETRY_AFTER, self.0.pause.load(Ordering::SeqCst).into());
                (StatusCode::TOO_MANY_REQUESTS, HeaderMap::from_iter([asked]), Vec::new())
            }
            Err(_) => (StatusCode::FORBIDDEN, HeaderMap::new(), Vec::new()),
            Ok(()) if is_trace => {
                self.keep_traces(headers, ExportTraceServiceRequest::decode(&**body).unwrap());
                (StatusCode::OK, HeaderMap::new(), self.traces_answer().encode_to_vec())
            }
            Ok(()) => {
                self.keep_metrics(headers, ExportMetricsServiceRequest::decode(&**body).unwrap());
                (StatusCode::OK, HeaderMap::new(), self.metrics_answer().encode_to_vec())
            }
        }
    }

    fn keep_traces(&self, headers: HeaderMap, request: ExportTraceServiceRequest) {
        canary::look_through("a trace", &request.encode_to_vec());
        self.0.traces.lock().unwrap().push((headers, request));
    }

    fn keep_metrics(&self, headers: HeaderMap, request: ExportMetricsServiceRequest) {
        canary::look_through("metrics", &request.encode_to_vec());
        self.0.metrics.lock().unwrap().push((headers, request));
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let requests = self.0.traces.lock().unwrap().clone();
        let resources = requests.into_iter().flat_map(|(_, request)| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// Those of this name.
    pub(super) fn spans_named(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        let requests = self.0.metrics.lock().unwrap().clone();
        let resources = requests.into_iter().flat_map(|(_, request)| request.resource_metrics);
        resources.flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics).collect()
    }

    /// The headers of the first request with spans.
    pub(super) fn headers(&self) -> HeaderMap {
        self.0.traces.lock().unwrap()[0].0.clone()
    }

    /// Of whom each request speaks: first those with spans, then those with metrics.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let (traces, metrics) = (self.0.traces.lock().unwrap(), self.0.metrics.lock().unwrap());
        let traces = traces.iter().flat_map(|(_, request)| &request.resource_spans);
        let metrics = metrics.iter().flat_map(|(_, request)| &request.resource_metrics);
        let resources = traces.map(|spans| &spans.resource).chain(metrics.map(|metrics| &metrics.resource));
        resources.map(|resource| resource.clone().unwrap()).collect()
    }

    /// All that it was sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (traces, metrics) = (self.0.traces.lock().unwrap(), self.0.metrics.lock().unwrap());
        let traces = traces.iter().map(|(_, request)| request.encode_to_vec());
        traces.chain(metrics.iter().map(|(_, request)| request.encode_to_vec())).flatten().collect()
    }
}

#[async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.check()?;
        let (metadata, _, request) = request.into_parts();
        self.keep_traces(metadata.into_headers(), request);
        Ok(Response::new(self.traces_answer()))
    }
}

#[async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.check()?;
        let (metadata, _, request) = request.into_parts();
        self.keep_metrics(metadata.into_headers(), request);
        Ok(Response::new(self.metrics_answer()))
    }
}

/// The details of a status that asks to be left alone for so many seconds: more than `ErrorDetails` would write.
fn asks_for(seconds: u64) -> Bytes {
    let seconds = seconds.try_into().unwrap_or(i64::MAX);
    let asked = pb::RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos: 0 }) };
    let asked = prost_types::Any { type_url: RetryInfo::TYPE_URL.to_owned(), value: asked.encode_to_vec() };
    pb::Status { code: Code::ResourceExhausted.into(), message: "busy".to_owned(), details: vec![asked] }
        .encode_to_vec()
        .into()
}

/// An attribute's value as text; empty where there is none.
pub(super) fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

struct Door(TcpListener, Option<TlsAcceptor>);

impl Listener for Door {
    type Io = Box<dyn Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            match &self.1 {
                None => return (Box::new(stream), address),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        return (Box::new(stream), address);
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
